/** Commands in their sandbox: real programs that try to get out of it. */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, readdir, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type JsonValue, systemClock } from '@runloop/core';
import { type CallResult, type ExecOptions, performExec, probeCommands } from '../src/index.ts';
import { fits, fitsMore, moreFault, templateFault } from '../src/exec/argv-template.ts';
import { judge } from '../src/kernel/grants.ts';
import { noCaps } from '../src/caps.ts';
import { execMoreMax, execProcessesMax } from '../src/limits.ts';

let dir = '';
beforeAll(async () => {
  dir = await realpath(await mkdtemp(join(tmpdir(), 'rl-exec-')));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const exec = (
  args: JsonValue,
  more: Partial<ExecOptions> = {},
  signal: AbortSignal = new AbortController().signal,
): Promise<CallResult> => performExec({ clock: systemClock }, args, { wallMsMax: 20_000, ...more }, signal);

const probe = await exec({ command: '/usr/bin/env' });
const python = '/usr/bin/python3';
const py = (program: string, more: Partial<ExecOptions> = {}): Promise<CallResult> =>
  exec({ command: python, argv: ['-c', program] }, more);
const said = (result: CallResult): string => (result.ok ? (result.value as { stdout: string }).stdout : result.code);

async function check(
  command: string,
  argv: readonly string[],
  expected: object,
  more: Partial<ExecOptions> = {},
): Promise<void> {
  expect(await exec({ command, argv }, more)).toMatchObject({ ok: true, value: expected });
}

/** Our own descriptors that a child would get. */
async function inheritable(): Promise<number[]> {
  const found: number[] = [];
  for (const fd of await readdir('/proc/self/fd')) {
    const info = await readFile(`/proc/self/fdinfo/${fd}`, 'utf8').catch(() => 'flags:\t02000000');
    if ((Number.parseInt(/flags:\s+(\d+)/.exec(info)?.[1] ?? '0', 8) & 0o2000000) === 0) found.push(Number(fd));
  }
  return found;
}

describe('templates of arguments', () => {
  test.each([
    ['log', 'log', true],
    ['log', 'Log', false],
    ['{x}', 'a b; rm -rf /', true],
    ['{x}', '', false],
    ['{x}', '-o', false],
    ['{x}', '--output=/x', false],
    ['{x}', 'a\nb', false],
    ['{x}', 'a\u001b[2J', false],
    ['{n:int}', '12', true],
    ['{n:int}', '-1', false],
    ['{n:int}', '1e9', false],
    ['{w:word}', 'v1.2', true],
    ['{w:word}', '.git', false],
    ['{w:word}', 'a/b', false],
    ['{p:path}', 'src/a b.ts', true],
    ['{p:path}', '../x', false],
    ['{p:path}', 'a/../x', false],
    ['{p:path}', 'host:file', false],
    ['{p:path}', 'ext::sh -c id', false],
    ['{}', '{}', true],
  ])('%s takes %j: %s', (part, actual, expected) => expect(fits(part, actual)).toBe(expected));

  test.each(['--file={path}', '{a}{b}', 'x{a:int}', '{a:float}'])('%s is no template', (part) =>
    expect(templateFault(part)).toMatch(/one whole argument/),
  );

  test.each([
    ['--since={when}', '--since=1 month ago', true],
    ['--since={when}', '--since=', false],
    ['--since={when}', '--since=--x', false],
    ['--since={when}', '--until=x', false],
    ['-{n:int}', '-10', true],
    ['-{n:int}', '-x', false],
    ['-n{n:int}', '-n3', true],
    ['{word}', '--output=x', false],
  ])('among the further arguments %s takes %j: %s', (part, actual, expected) =>
    expect(fitsMore(part, actual)).toBe(expected),
  );
  test.each(['x{a}', '{a}{b}', '--a={b}c', '--{a}', '--a={b:float}'])('%s is no further argument', (part) =>
    expect(moreFault(part)).toMatch(/one whole argument/),
  );

  test('A10: no more further arguments than the limit', () => {
    const caps = { ...noCaps, exec: [{ command: '/bin/git', argv: ['log'], more: ['-i'] }] };
    const allowed = (count: number): boolean =>
      judge(caps, 'exec', 'exec.run', { command: '/bin/git', argv: ['log', ...Array<string>(count).fill('-i')] })
        .allowed;
    expect([allowed(0), allowed(execMoreMax), allowed(execMoreMax + 1)]).toEqual([true, true, false]);
  });
});

describe('options cannot be smuggled in', () => {
  const grants = [
    { command: '/usr/bin/git', argv: ['log', '--oneline', '{path}'] },
    { command: '/usr/bin/git', argv: ['clone', '{url}'] },
    { command: '/usr/bin/tar', argv: ['-cf', '/tmp/x.tar', '{file:path}'] },
    { command: '/usr/bin/find', argv: ['{dir:path}'] },
  ];
  test.each([
    ['git', ['log', '--oneline', '--output=/tmp/x']],
    ['git', ['-c', 'core.pager=id', 'log', '--oneline', 'x']],
    ['git', ['clone', '--upload-pack=id']],
    ['git', ['clone', '-uid']],
    ['tar', ['-cf', '/tmp/x.tar', '--checkpoint-action=exec=id']],
    ['tar', ['-cf', '/tmp/x.tar', 'host:/x']],
    ['find', ['-delete']],
    ['find', ['/', '-delete']],
    ['find', ['/', '-exec', 'id', ';']],
  ])('%s %j is refused before anything runs', (name, argv) => {
    const caps = { ...noCaps, exec: grants };
    expect(judge(caps, 'exec', 'exec.run', { command: `/usr/bin/${name}`, argv })).toMatchObject({ allowed: false });
  });

  test.skipIf(!probe.ok || !existsSync('/usr/bin/git'))('what passes as a value stays a value', async () => {
    for (const url of ['ext::sh -c touch% /tmp/pwned', 'a; touch /tmp/pwned', '$(touch /tmp/pwned)', '`id`']) {
      expect(
        judge({ ...noCaps, exec: grants }, 'exec', 'exec.run', { command: '/usr/bin/git', argv: ['clone', url] }),
      ).toMatchObject({ allowed: true });
      await check('/usr/bin/git', ['clone', url], { exit_code: 128, stdout: '' });
    }
    await check('/usr/bin/find', ['(touch'], { exit_code: 1 });
  });
});

test('A12: without bubblewrap it is refused', async () => {
  expect(await exec({ command: '/usr/bin/id' }, { bwrap: '/nonexistent/bwrap' })).toMatchObject({
    ok: false,
    code: 'CapabilityDenied',
    message: expect.stringMatching(/refused/),
  });
});

test.each([7, { command: 'id' }, { command: '/bin/id', argv: ['a\0b'] }, { command: '/bin/id', stdin: 1 }])(
  'the arguments %j make no command',
  async (args) => expect(await exec(args)).toMatchObject({ code: 'InvalidParams' }),
);

describe.skipIf(!probe.ok)('the sandbox of a command (needs bubblewrap)', () => {
  test('a command that only reads can write nowhere, whatever its folders allow', async () => {
    const at = join(dir, 'readable');
    await mkdir(at);
    await writeFile(join(at, 'a'), 'there');
    const write = (more: Partial<ExecOptions>): Promise<CallResult> =>
      exec({ command: '/usr/bin/tee', argv: [join(at, 'a')], stdin: 'changed' }, more);
    for (const folders of [[{ path: at, write: true }], [{ path: at, write: true, ask: true as const }]]) {
      expect(await write({ folders, reads: true })).toMatchObject({ ok: true, value: { exit_code: 1 } });
      expect(await readFile(join(at, 'a'), 'utf8')).toBe('there');
    }
    // A folder whose writes are asked about is not written to by a command that was asked about once.
    await write({ folders: [{ path: at, write: true, ask: true }] });
    expect(await readFile(join(at, 'a'), 'utf8')).toBe('there');
    await check(
      '/usr/bin/cat',
      [join(at, 'a')],
      { stdout: 'there' },
      { folders: [{ path: at, write: true }], reads: true },
    );
    await write({ folders: [{ path: at, write: true }] });
    expect(await readFile(join(at, 'a'), 'utf8')).toBe('changed');
  });

  test.skipIf(!existsSync(python))(
    'a command that only reads speaks into no socket that its folder holds',
    async () => {
      const at = join(dir, 'sockets');
      await mkdir(at);
      const path = join(at, 's');
      const heard: string[] = [];
      const server = createServer((socket) => {
        socket.on('error', () => {});
        socket.on('data', (chunk) => heard.push(chunk.toString())).end('hello');
      });
      await new Promise<void>((resolve) => server.listen(path, resolve));
      const program = `import socket
def told(make):
    try:
        s = make()
        s.connect(${JSON.stringify(path)})
        s.send(b'do it')
        print(s.recv(9).decode())
    except OSError as e: print(e.errno)
told(lambda: socket.socket(socket.AF_UNIX))
told(lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0])`;
      const folders = [{ path: at, write: false }];
      expect(said(await py(program, { folders, reads: true }))).toBe('1\n1\n');
      expect(heard).toEqual([]);
      // One that somebody is asked about does: the attempt above was real.
      expect(said(await py(program, { folders }))).toMatch(/^hello\n/);
      expect(heard).toEqual(['do it']);
      await new Promise((resolve) => server.close(resolve));
    },
  );

  test('has a fixed environment, no home, no network', async () => {
    await check('/usr/bin/env', [], {
      exit_code: 0,
      stdout: 'PATH=/usr/bin:/bin\nHOME=/tmp\nLANG=C.UTF-8\nPWD=/tmp\n',
    });
    await check('/usr/bin/ls', ['/'], { stdout: expect.not.stringMatching(/home|root|work|var|run|sys/) });
    await check('/usr/bin/cat', ['/proc/net/dev'], { stdout: expect.not.stringMatching(/eth0/) });
    await check('/usr/bin/touch', ['/x'], { exit_code: 1, stderr: expect.stringMatching(/Read-only/) });
    await check('/usr/bin/touch', ['/usr/x'], { exit_code: 1, stderr: expect.stringMatching(/Read-only/) });
  });

  test('has standard input when it is given', async () => {
    expect(await exec({ command: '/usr/bin/cat', stdin: 'häl\0lo' })).toMatchObject({ value: { stdout: 'häl\0lo' } });
  });

  test('inherits no descriptor, the granted folders included', async () => {
    const folders = [{ path: dir, write: true }];
    const ran = await exec({ command: '/usr/bin/ls', argv: ['-U', '/proc/self/fd'] }, { folders });
    // What started the tests may have left some to us: those are not of our making. The last is that of ls.
    const left = await inheritable();
    const seen = said(ran).trim().split('\n').map(Number);
    expect(seen.filter((fd) => fd > 2 && !left.includes(fd))).toHaveLength(1);
    await check('/usr/bin/readlink', ['/proc/self/fd/3'], { exit_code: 1 }, { folders });
  });

  test('has the granted folders, read-only or not, and never the state directory', async () => {
    const open = join(dir, 'open');
    const state = join(open, 'state');
    await mkdir(state, { recursive: true });
    await writeFile(join(state, 'operator.token'), 'secret');
    await writeFile(join(open, 'a'), 'A');
    const read = { folders: [{ path: open, write: false }], hidden: [state] };
    await check('/usr/bin/cat', [join(open, 'a')], { stdout: 'A' }, read);
    await check('/usr/bin/cat', [join(state, 'operator.token')], { exit_code: 1, stdout: '' }, read);
    await check('/usr/bin/touch', [join(open, 'b')], { stderr: expect.stringMatching(/Read-only/) }, read);
    const write = { folders: [{ path: open, write: true }], hidden: [state] };
    await check('/usr/bin/touch', [join(open, 'b')], { exit_code: 0 }, write);
    await check('/usr/bin/touch', [join(state, 'b')], { stderr: expect.stringMatching(/Read-only/) }, write);
    expect(existsSync(join(open, 'b'))).toBe(true);
    expect(await readdir(state)).toEqual(['operator.token']);
  });

  test('A12: a granted folder that is a link, or gone, is refused', async () => {
    const link = join(dir, 'link');
    await symlink('/', link);
    for (const path of [link, join(link, 'etc'), join(dir, 'gone')]) {
      expect(await exec({ command: '/usr/bin/id' }, { folders: [{ path, write: false }] })).toMatchObject({
        code: 'CapabilityDenied',
        message: expect.stringMatching(
          path === link || path.endsWith('gone') ? /cannot be opened/ : /reached by a link/,
        ),
      });
    }
  });

  test('A10: output is cut while the command goes on; the deadline and an abort end it', async () => {
    expect(await exec({ command: '/usr/bin/head', argv: ['-c', '1000000', '/dev/zero'] })).toMatchObject({
      value: { exit_code: 0, truncated: true, stdout: '\0'.repeat(256 * 1024) },
    });
    expect(await exec({ command: '/usr/bin/sleep', argv: ['60'] }, { wallMsMax: 200 })).toMatchObject({
      code: 'DeadlineExceeded',
    });
    const controller = new AbortController();
    const running = exec({ command: '/usr/bin/sleep', argv: ['60'] }, {}, controller.signal);
    controller.abort();
    expect(await running).toMatchObject({ code: 'Cancelled' });
  });

  test.skipIf(!existsSync(python))('what it leaves behind dies with it, at its end and at the deadline', async () => {
    const marker = `rl${process.pid}x${dir.slice(-6)}`;
    const daemon = `import os,sys,time
for i in range(2):
    if os.fork(): (time.sleep(60) if len(sys.argv) > 2 else None); os._exit(0)
    os.setsid()
open('${dir}/began','w').close()
time.sleep(60)`;
    const left = async (): Promise<string[]> => {
      const found: string[] = [];
      for (const pid of await readdir('/proc')) {
        const line = /^\d+$/.test(pid) ? await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '') : '';
        if (line.includes(marker)) found.push(pid);
      }
      return found;
    };
    const folders = [{ path: dir, write: true }];
    expect(await exec({ command: python, argv: ['-c', daemon, marker] }, { folders })).toMatchObject({ ok: true });
    await expect.poll(left).toEqual([]);
    const late = exec({ command: python, argv: ['-c', daemon, marker, 'stay'] }, { folders, wallMsMax: 1500 });
    expect(await late).toMatchObject({ code: 'DeadlineExceeded' });
    expect(existsSync(join(dir, 'began'))).toBe(true);
    await expect.poll(left).toEqual([]);
  });

  test.skipIf(!existsSync(python))('A10: core, descriptors, file size and scratch space are limited', async () => {
    const limits = `import resource as r
print([r.getrlimit(x)[1] for x in (r.RLIMIT_CORE, r.RLIMIT_NPROC, r.RLIMIT_NOFILE, r.RLIMIT_FSIZE, r.RLIMIT_DATA, r.RLIMIT_AS)])
print(open('/proc/self/oom_score_adj').read())`;
    expect(said(await py(limits))).toBe('[0, 256, 256, 268435456, 1073741824, 8589934592]\n1000\n\n');
    const many = `import os
try:
    while True: os.dup(0)
except OSError as e: print(e.errno)`;
    expect(said(await py(many))).toBe('24\n');
    for (const path of ['/tmp/x', '/dev/shm/x']) {
      const full = `import sys
try:
    with open('${path}','wb') as f:
        for i in range(80): f.write(bytes(1<<20))
except OSError as e: print(e.errno)`;
      expect(said(await py(full))).toBe('28\n');
    }
    const big = `import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try: open('${dir}/big','wb').truncate(300 << 20)
except OSError as e: print(e.errno)`;
    expect(said(await py(big, { folders: [{ path: dir, write: true }] }))).toBe('27\n');
  });

  test.skipIf(!existsSync(python))('A10: memory is limited, of its own, shared, and of nobody', async () => {
    const taken = (take: string): string => `import ctypes, mmap
held = []
try:
    while len(held) < 200: held.append(${take})
except (MemoryError, OSError) as e: pass
print(len(held))`;
    const mib = 2 ** 20;
    expect(Number(said(await py(taken(`mmap.mmap(-1, ${64 * mib}, flags=mmap.MAP_PRIVATE)`))))).toBeLessThan(16);
    expect(Number(said(await py(taken(`mmap.mmap(-1, ${64 * mib})`))))).toBeLessThan(128);
    const nobodys = `import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
try: os.memfd_create('x')
except OSError as e: print(e.errno)
print(libc.shmget(0, 4096, 0o1600), ctypes.get_errno())`;
    expect(said(await py(nobodys))).toBe('38\n-1 38\n');
  });

  test.skipIf(process.getuid?.() === 0 || !existsSync(python))(
    'A10: so many processes and no more (the kernel does not count those of root)',
    async () => {
      const forks = `import os, time
made = 0
try:
    while made < 1000:
        if os.fork() == 0: time.sleep(60)
        made += 1
except OSError as e: print(e.errno, made <= ${execProcessesMax}, flush=True)
os._exit(0)`;
      expect(said(await py(forks))).toBe('11 True\n');
    },
  );

  test('what a probe says is in force is in force', async () => {
    expect(await probeCommands({ clock: systemClock })).toEqual({ memory: true, processes: process.getuid?.() !== 0 });
    expect(await probeCommands({ clock: systemClock }, '/nonexistent/bwrap')).toBeUndefined();
  });

  test.skipIf(!existsSync(python))('reaches no socket of the host, not even an abstract one', async () => {
    const name = `\0rl-exec-${process.pid}`;
    const servers = [createServer(), createServer(), createServer()] as const;
    const path = join(dir, 's');
    await new Promise<void>((resolve) => servers[0].listen(name, resolve));
    await new Promise<void>((resolve) => servers[1].listen(path, resolve));
    await new Promise<void>((resolve) => servers[2].listen(0, '127.0.0.1', resolve));
    const { port } = servers[2].address() as { port: number };
    try {
      const program = `import socket
for family, where in ((socket.AF_UNIX, '\\0rl-exec-${process.pid}'), (socket.AF_UNIX, '${path}'), (socket.AF_INET, ('127.0.0.1', ${port}))):
    try: socket.socket(family).connect(where); print('in')
    except OSError as e: print(e.errno)`;
      expect(said(await py(program))).toBe('111\n2\n111\n');
    } finally {
      for (const server of servers) server.close();
    }
  });
});
