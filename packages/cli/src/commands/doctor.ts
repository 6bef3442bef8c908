/**
 * rlp doctor, rlp version: what this machine gives, what is in force here, and what to do about what is not.
 */
import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync, statfsSync, statSync } from 'node:fs';
import { arch, platform, release } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { isJsonObject, socketPathBytesMax, systemClock } from '@runloop/core';
import type { CommandLimits } from '@runloop/daemon';
import type { Command, Tools } from '../command.ts';
import { socketsOf } from '../daemon-client.ts';
import type { Check } from '../doctor/check.ts';
import { roomCheck, writeCheck } from '../doctor/room.ts';
import { secretsCheck } from '../doctor/secrets.ts';
import { nodePath } from '../environment.ts';
import { version } from '../version.ts';

const execute = promisify(execFile);

export const commands: readonly Command[] = [
  {
    usage: 'doctor',
    about: 'check what this machine gives and which layers of the sandbox are in force',
    examples: [['rlp doctor', '1 when something must be mended']],
    run: doctor,
  },
  {
    usage: 'version',
    about: 'print the version, and that of the daemon that runs',
    examples: [['rlp version --json', '']],
    async run(_args, tools) {
      const client = await tools.connect({ start: false });
      const found = client.ok ? await client.value.call('daemon.version', {}) : undefined;
      const daemon = found?.ok === true && isJsonObject(found.value) ? found.value['version'] : undefined;
      if (tools.json) tools.screen.json({ rlp: version, runloopd: daemon ?? null, node: process.version });
      else tools.screen.line(`rlp ${version}${daemon === undefined ? '' : `, runloopd ${String(daemon)}`}`);
      return 0;
    },
  },
];

async function doctor(_args: unknown, tools: Tools): Promise<number> {
  const checks = [
    ...machine(),
    ...(await state(tools)),
    ...(await bubblewrap()),
    await trust(tools),
    ...(await cells()),
    ...(await daemon(tools)),
  ];
  if (tools.json) tools.screen.json(checks);
  else {
    for (const { name, state: is, says, hint } of checks) {
      const mark =
        is === 'ok'
          ? tools.screen.paint('green', '✓')
          : is === 'warning'
            ? tools.screen.paint('yellow', '!')
            : tools.screen.paint('red', '✗');
      tools.screen.wrapped(`${mark} ${name.padEnd(18)} `, says.split(' '), 21);
      if (hint !== undefined) tools.screen.line(tools.screen.paint('dim', `${' '.repeat(21)}${hint}`));
    }
  }
  return checks.some((check) => check.state === 'error') ? 1 : 0;
}

function machine(): Check[] {
  const major = Number(process.versions.node.split('.')[0]);
  return [
    { name: 'system', state: platform() === 'linux' ? 'ok' : 'error', says: `${platform()} ${release()} ${arch()}` },
    {
      name: 'node',
      state: major >= 24 ? 'ok' : 'error',
      says: process.version,
      ...(major >= 24 ? {} : { hint: 'Node 24 or newer is needed; the launchers in bin/ bring it' }),
    },
  ];
}

async function state(tools: Tools): Promise<Check[]> {
  const { root } = tools.environment;
  const config = await tools.config();
  const checks: Check[] = [
    config.ok
      ? { name: 'configuration', state: 'ok', says: 'valid' }
      : {
          name: 'configuration',
          state: 'error',
          says: config.error.message,
          ...(config.error.hint === undefined ? {} : { hint: config.error.hint }),
        },
  ];
  if (!existsSync(root))
    return [...checks, { name: 'state directory', state: 'ok', says: `${root} (made at the first start)` }];
  const mode = statSync(root).mode & 0o777;
  checks.push({
    name: 'state directory',
    state: writable(root) ? ((mode & 0o077) === 0 ? 'ok' : 'warning') : 'error',
    says: `${root} (${mode.toString(8)})`,
    ...((mode & 0o077) === 0 ? {} : { hint: `others may look into it: chmod 700 ${root}` }),
  });
  const token = join(root, 'operator.token');
  if (existsSync(token)) {
    const tokenMode = statSync(token).mode & 0o777;
    checks.push({
      name: 'operator token',
      state: tokenMode === 0o600 ? 'ok' : 'error',
      says: `${token} (${tokenMode.toString(8)})`,
      ...(tokenMode === 0o600 ? {} : { hint: 'others could read it: rlp token rotate' }),
    });
  }
  const socket = config.ok ? (socketsOf(tools.environment, config.value.config)[0]?.socket ?? '') : '';
  const bytes = Buffer.byteLength(socket);
  checks.push({
    name: 'socket path',
    state: bytes <= socketPathBytesMax ? 'ok' : 'error',
    says: `${socket} (${bytes} bytes)`,
    ...(bytes <= socketPathBytesMax
      ? {}
      : { hint: `at most ${socketPathBytesMax} bytes: set runtime.sockets_dir to something shorter` }),
  });
  return checks;
}

/** A process under the permission model tries to read what it was not granted; guests wait for their host by JSPI. */
async function cells(): Promise<Check[]> {
  const probe = `try { require('node:fs').readFileSync('/etc/passwd'); process.exit(3) } catch (error) { process.exit(error.code === 'ERR_ACCESS_DENIED' ? 0 : 4) }`;
  const refused = await execute(nodePath, ['--permission', '-e', probe], { timeout: 5000, env: {} }).then(
    () => true,
    () => false,
  );
  const { WebAssembly: wasm = {} } = globalThis as { readonly WebAssembly?: object };
  const suspends = 'Suspending' in wasm;
  const grown = growsBeyond(wasm as { readonly Memory: MemoryClass });
  return [
    refused
      ? { name: 'permission model', state: 'ok', says: 'a probe without a grant could not read a file' }
      : {
          name: 'permission model',
          state: 'error',
          says: 'a probe without a grant was not stopped',
          hint: 'use the Node that the project brings: bin/rlp',
        },
    grown
      ? { name: 'memory limits', state: 'error', says: 'a memory grew beyond its maximum' }
      : { name: 'memory limits', state: 'ok', says: 'a memory could not grow beyond its maximum' },
    suspends
      ? { name: 'guests', state: 'ok', says: 'WebAssembly can be suspended at host calls (JSPI)' }
      : {
          name: 'guests',
          state: 'error',
          says: 'WebAssembly cannot be suspended (JSPI is missing)',
          hint: 'use the Node that the project brings: bin/rlp',
        },
  ];
}

type MemoryClass = new (limits: { initial: number; maximum: number }) => { grow(pages: number): number };

function growsBeyond({ Memory }: { readonly Memory: MemoryClass }): boolean {
  try {
    new Memory({ initial: 1, maximum: 1 }).grow(1);
    return true;
  } catch {
    return false;
  }
}

/** A process in the sandbox of strangers' cells goes against each of its layers. */
async function bubblewrap(): Promise<Check[]> {
  const { probeCommands, probeSandbox } = await import('@runloop/daemon');
  const { refusal, files, network, sockets, processes } = await probeSandbox({ clock: systemClock }, '/usr/bin/bwrap');
  const layer = (name: string, inForce: boolean, says: string, otherwise: string): Check => {
    if (refusal !== undefined) return { name, state: 'warning', says: 'not in force: bubblewrap does not work' };
    const hint = 'agents of untrusted signers could do more than they should: do not install them here';
    return inForce ? { name, state: 'ok', says } : { name, state: 'error', says: otherwise, hint };
  };
  const commands = await probeCommands({ clock: systemClock });
  const works: Check = {
    name: 'bubblewrap',
    state: 'ok',
    says: 'works: commands and agents of untrusted signers can run',
  };
  return [
    refusal === undefined
      ? works
      : {
          name: 'bubblewrap',
          state: 'warning',
          says: `commands and agents of untrusted signers are refused: ${refusal}`,
          hint: 'apt install bubblewrap, and allow user namespaces: see docs/operations.md',
        },
    layer(
      'namespaces',
      files && network,
      'a probe saw no file and no network of this machine',
      'a probe saw files or the network of this machine',
    ),
    layer(
      'system calls',
      sockets && processes,
      'a probe could make no socket and no process',
      'a probe could make a socket or a process',
    ),
    ...(commands === undefined ? [] : [commandLimits(commands)]),
  ];
}

function commandLimits({ memory, processes }: CommandLimits): Check {
  const name = 'command limits';
  if (memory && processes)
    return { name, state: 'ok', says: 'a probe could not take more memory or processes than it may' };
  const says = memory
    ? 'how many processes a command starts is not limited: the kernel does not count those of root'
    : 'how much memory a command takes is not limited';
  const hint = 'run the daemon as a user of its own, or by its unit in systemd/';
  return { name, state: 'warning', says, hint };
}

/** Room for the ledger, and what a fatal error or a flood of the daemon's may take. */
async function resources(tools: Tools, pid: number | undefined): Promise<Check[]> {
  const { root, env } = tools.environment;
  const isThere = existsSync(root);
  const at = isThere ? root : dirname(root);
  const disk = [(isThere ? writeCheck(root) : undefined) ?? roomCheck(statfsSync(existsSync(at) ? at : '/'))];
  if (pid === undefined) return [...disk, ...(await secretsCheck(tools, env))];
  const secrets = await secretsCheck(tools, variablesOf(pid) ?? env);
  const [cores, cgroup] = [readOf(`/proc/${pid}/limits`), readOf(`/proc/${pid}/cgroup`).split('::')[1]?.trim() ?? ''];
  const none = /^Max core file size\s+0\s/m.test(cores);
  const max = readOf(join('/sys/fs/cgroup', cgroup, 'memory.max')).trim();
  const bounded = /^\d+$/.test(max);
  return [
    ...disk,
    ...secrets,
    none
      ? { name: 'core dumps', state: 'ok', says: 'off for the daemon and all that it starts' }
      : {
          name: 'core dumps',
          state: 'warning',
          says: 'not off for the daemon',
          hint: 'start it by rlp, bin/runloopd or its unit',
        },
    {
      name: 'cgroup',
      state: 'ok',
      says: bounded
        ? `the daemon and its children have ${Math.round(Number(max) / 2 ** 20)} MiB`
        : 'no memory limit for all together; each agent has its own (systemd/ has units that set one)',
    },
  ];
}

/** The environment that a process was started with, where we may look. */
function variablesOf(pid: number): NodeJS.ProcessEnv | undefined {
  const text = readOf(`/proc/${pid}/environ`);
  const pairs = text.split('\0').flatMap((one) => (one.includes('=') ? [one.split(/=(.*)/s).slice(0, 2)] : []));
  return text === '' ? undefined : Object.fromEntries(pairs);
}

function readOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** Who may sign, and whether what they sign may run without namespaces. */
async function trust(tools: Tools): Promise<Check> {
  const { readTrustPolicy } = await import('@runloop/daemon');
  const [policy, config] = [await readTrustPolicy(tools.environment.root), await tools.config()];
  if (!policy.ok)
    return { name: 'trust', state: 'error', says: policy.error.message, hint: 'until it is right, no agent starts' };
  const { anchors, allowWeak } = policy.value;
  const isWeak = allowWeak ?? (config.ok && config.value.config.security.sandbox.allow_weak);
  if (!isWeak) return { name: 'trust', state: 'ok', says: `this host and ${anchors.length} more may sign agents` };
  const says = 'allow_weak: where bubblewrap cannot run, agents of untrusted signers run without namespaces';
  return { name: 'trust', state: 'warning', says };
}

async function daemon(tools: Tools): Promise<Check[]> {
  const client = await tools.connect({ start: false });
  if (!client.ok)
    return [
      {
        name: 'daemon',
        state: client.error.code === 'DaemonUnavailable' ? 'warning' : 'error',
        says: client.error.message,
        hint: client.error.hint ?? 'rlp daemon start',
      },
      ...(await resources(tools, undefined)),
    ];
  const found = await client.value.call('daemon.status', {});
  if (!found.ok) return [{ name: 'daemon', state: 'error', says: found.error.message }];
  const {
    pid,
    version: its,
    storage,
  } = found.value as unknown as { pid: number; version: string; storage: readonly { message: string }[] };
  const [trouble] = storage;
  if (trouble !== undefined)
    return [{ name: 'daemon', state: 'error', says: trouble.message }, ...(await resources(tools, pid))];
  const running: Check = {
    name: 'daemon',
    state: its === version ? 'ok' : 'warning',
    says: `pid ${pid}, version ${its}`,
    ...(its === version ? {} : { hint: 'rlp and runloopd differ: rlp daemon stop, then start it anew' }),
  };
  return [running, ...(await resources(tools, pid))];
}

function writable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
