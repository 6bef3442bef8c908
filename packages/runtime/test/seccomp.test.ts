/** The system call filter: its bytes on each architecture, and real programs that run into it. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemClock } from '@runloop/core';
import { performExec, type Profile, seccompFilter } from '../src/index.ts';
import { bubblewrap, giveFilter } from '../src/launcher.ts';
import { architecture } from '../src/seccomp/system-calls.ts';

const eperm = 0x0005_0001;
const enosys = 0x0005_0026;
const eafnosupport = 0x0005_0061;
const allow = 0x7fff_0000;
const kill = 0x8000_0000;

/** Runs the program as the kernel does. */
function answer(filter: Uint8Array, audit: number, nr: number, args: readonly number[] = []): number {
  const view = new DataView(filter.buffer);
  const word = (at: number): number => (at === 0 ? nr : at === 4 ? audit : (args[(at - 16) / 8] ?? 0));
  let value = 0;
  for (let at = 0; at < filter.length / 8; at += 1) {
    const k = view.getUint32(at * 8 + 4, true);
    const jump = (taken: boolean): number => view.getUint8(at * 8 + (taken ? 2 : 3));
    switch (view.getUint16(at * 8, true)) {
      case 0x20:
        value = word(k) >>> 0;
        break;
      case 0x15:
        at += jump(value === k);
        break;
      case 0x35:
        at += jump(value >= k);
        break;
      case 0x45:
        at += jump((value & k) !== 0);
        break;
      case 0x06:
        return k;
      default:
        throw new Error('an instruction that is not expected');
    }
  }
  throw new Error('the program has no end');
}

describe.each(['x64', 'arm64'])('the filter on %s', (machine) => {
  const { audit, calls, x32 } = architecture(machine) ?? { audit: 0, calls: {}, x32: false };
  const cases: readonly (readonly [profile: Profile, call: string, args: readonly number[], expected: number])[] = [
    ['exec', 'ptrace', [], eperm],
    ['exec', 'keyctl', [], eperm],
    ['exec', 'mount', [], eperm],
    ['exec', 'io_uring_setup', [], eperm],
    ['exec', 'clone3', [], enosys],
    ['exec', 'clone', [0x11], allow],
    ['exec', 'clone', [0x1000_0011], eperm],
    ['exec', 'clone', [0x003d_0f00], allow],
    ['exec', 'ioctl', [0, 0x5401], allow],
    ['exec', 'ioctl', [0, 0x5412], eperm],
    ['exec', 'ioctl', [0, 0x541c], eperm],
    ['exec', 'socket', [1], allow],
    ['exec', 'socket', [16], allow],
    ['exec', 'socket', [40], eafnosupport],
    ['exec', 'socket', [38], eafnosupport],
    ['exec', 'kill', [], allow],
    ['exec', 'memfd_create', [], enosys],
    ['exec', 'shmget', [], enosys],
    ['reads', 'socket', [1], eperm],
    ['reads', 'socketpair', [1], eperm],
    ['reads', 'connect', [], eperm],
    ['reads', 'kill', [], allow],
    ['reads', 'clone', [0x11], allow],
    ['cell', 'memfd_create', [], allow],
    ['cell', 'socket', [1], eperm],
    ['cell', 'connect', [], eperm],
    ['cell', 'kill', [], eperm],
    ['cell', 'tgkill', [], allow],
    ['cell', 'clone', [0x11], eperm],
    ['cell', 'clone', [0x003d_0f00], allow],
    ['cell', 'clone', [0x103d_0f00], eperm],
    ['cell', 'clone3', [], enosys],
    ['cell', 'execveat', [], eperm],
  ];
  test.each(cases)('%s: %s %j', (profile, call, args, expected) => {
    const filter = seccompFilter(profile, machine) ?? new Uint8Array();
    // tgkill is named by no rule, and so not in the table.
    const nr = calls[call] ?? 0xfff;
    expect(answer(filter, audit, nr, args)).toBe(expected);
  });
  test('another architecture and x32 calls kill', () => {
    const filter = seccompFilter('exec', machine) ?? new Uint8Array();
    expect(answer(filter, 0x4000_0003, 0)).toBe(kill);
    expect(answer(filter, audit, 0x4000_0000)).toBe(x32 ? kill : allow);
    expect(answer(filter, audit, 0)).toBe(allow);
  });
});

test('there is none for an architecture whose numbers are not known', () =>
  expect(seccompFilter('exec', 'riscv64')).toBeUndefined());

const bwrap = '/usr/bin/bwrap';
const refusal = existsSync(bwrap) ? await bubblewrap({ clock: systemClock }, bwrap).refusal() : 'no bubblewrap';
const python = '/usr/bin/python3';

describe.skipIf(refusal !== undefined || !existsSync(python))('exec, for real (needs bubblewrap and python3)', () => {
  test('a command cannot do what the filter names, and can do the rest', async () => {
    const program = `import ctypes, os, socket, threading, subprocess
c = ctypes.CDLL(None, use_errno=True)
def call(name, nr, *args):
    ctypes.set_errno(0)
    r = c.syscall(nr, *args)
    print(name, ctypes.get_errno() if r < 0 else 'ok')
x = os.uname().machine == 'x86_64'
call('ptrace', 101 if x else 117, 0, 0, 0, 0)
call('process_vm_readv', 310 if x else 270, os.getppid(), 0, 0, 0, 0, 0)
call('keyctl', 250 if x else 219, 0, -3, 0)
call('unshare', 272 if x else 97, 0x10000000)
call('clone', 56 if x else 220, 0x10000011, 0, 0, 0, 0)
call('clone3', 435, 0, 0)
call('bpf', 321 if x else 280, 0, 0, 0)
call('io_uring', 425, 1, 0)
call('userfaultfd', 323 if x else 282, 0)
call('perf', 298 if x else 241, 0, 0, -1, -1, 0)
for family in (40, 38, 17):
    try: socket.socket(family, socket.SOCK_STREAM); print('socket ok')
    except OSError as e: print('socket', e.errno)
socket.socketpair()
t = threading.Thread(target=print, args=('thread ok',)); t.start(); t.join()
print(subprocess.run(['/usr/bin/echo', 'process ok'], capture_output=True, text=True).stdout, end='')`;
    const ran = await performExec(
      { clock: systemClock },
      { command: python, argv: ['-c', program] },
      { wallMsMax: 20_000 },
      new AbortController().signal,
    );
    expect(ran).toMatchObject({
      value: {
        stderr: '',
        stdout: [
          'ptrace 1',
          'process_vm_readv 1',
          'keyctl 1',
          'unshare 1',
          'clone 1',
          'clone3 38',
          'bpf 1',
          'io_uring 1',
          'userfaultfd 1',
          'perf 1',
          'socket 97',
          'socket 97',
          'socket 97',
          'thread ok',
          'process ok',
          '',
        ].join('\n'),
      },
    });
  });

  test.skipIf(process.arch !== 'x64' || !existsSync('/usr/bin/cc'))(
    'a call of another architecture kills it (needs cc)',
    async () => {
      const dir = await realpath(await mkdtemp(join(tmpdir(), 'rl-seccomp-')));
      try {
        const source = `#include <stdio.h>
#include <unistd.h>
#include <sys/syscall.h>
int main(int n, char **v) { puts("before"); fflush(stdout);
  if (n > 1) syscall(0x40000000 + 39); else { int r; __asm__ volatile("int $0x80" : "=a"(r) : "a"(20)); }
  puts("after"); }`;
        await writeFile(join(dir, 'x.c'), source);
        const cc = spawn('/usr/bin/cc', ['-o', join(dir, 'x'), join(dir, 'x.c')], { stdio: 'inherit' });
        expect(await new Promise((resolve) => cc.on('close', resolve))).toBe(0);
        for (const argv of [[], ['x32']]) {
          const ran = await performExec(
            { clock: systemClock },
            { command: join(dir, 'x'), argv },
            { wallMsMax: 20_000, folders: [{ path: dir, write: false }] },
            new AbortController().signal,
          );
          // 128 + SIGSYS, as bubblewrap tells it.
          expect(ran).toMatchObject({ value: { exit_code: 159, stdout: 'before\n' } });
        }
      } finally {
        await rm(dir, { recursive: true, force: true });
      }
    },
  );
});

describe.skipIf(refusal !== undefined)('a cell, for real (needs bubblewrap)', () => {
  test('node runs in it, with threads, and makes no socket and no process', async () => {
    const program = `
const { Worker } = require('node:worker_threads');
const { spawnSync } = require('node:child_process');
const net = require('node:net');
const say = (text) => require('node:fs').writeSync(1, text + '\\n');
try { process.kill(1, 0); say('kill ok'); } catch (error) { say('kill ' + error.code); }
say('spawn ' + (spawnSync(process.execPath, ['--version']).error?.code ?? 'ok'));
net.connect(1, '127.0.0.1').on('error', (error) => {
  say('tcp ' + error.code);
  net.createServer().on('error', (error) => {
    say('unix ' + error.code);
    new Worker("require('node:fs').writeSync(1, 'thread ok\\\\n')", { eval: true });
  }).listen('\\0x');
});`;
    const { file, args, filter } = bubblewrap({ clock: systemClock }, bwrap).command(['-e', program], []);
    const child = spawn(file, args, { env: {}, cwd: '/', stdio: ['ignore', 'pipe', 'pipe', 'ignore', 'pipe'] });
    giveFilter(child, filter);
    let said = '';
    child.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await new Promise((resolve) => child.on('close', resolve));
    expect(said).toBe('kill EPERM\nspawn EPERM\ntcp EPERM\nunix EPERM\nthread ok\n');
  });
});
