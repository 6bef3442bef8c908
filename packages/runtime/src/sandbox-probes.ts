/**
 * Which layers of a stranger's cell are in force on this host, found out by going against each of them.
 *
 * The process that tries is started as such a cell is; what it says is what it could not do.
 */
import { spawn } from 'node:child_process';
import { type Clock, isJsonObject, parseJson } from '@runloop/core';
import { bubblewrap, giveFilter } from './launcher.ts';
import { launcherMsMax } from './limits.ts';

export type SandboxLayers = {
  /** Why such cells cannot be started here at all. */
  readonly refusal?: string;
  /** No file of the host but its own is there. */
  readonly files: boolean;
  /** No network interface but its own. */
  readonly network: boolean;
  /** The system call filter refuses a socket. */
  readonly sockets: boolean;
  /** … and another process. */
  readonly processes: boolean;
};

const nothing = { files: false, network: false, sockets: false, processes: false } as const;

const program = `
const said = {};
const end = () => { require('node:fs').writeSync(1, JSON.stringify(said)); process.exit(0); };
said.files = !require('node:fs').existsSync('/etc') && !require('node:fs').existsSync('/home');
let faces; try { faces = require('node:os').networkInterfaces(); } catch { faces = {}; }
said.network = Object.values(faces).flat().every((one) => one.internal);
said.processes = require('node:child_process').spawnSync(process.execPath, ['--version']).error !== undefined;
const server = require('node:net').createServer();
server.on('error', () => { said.sockets = true; end(); });
server.listen(0, '127.0.0.1', () => { said.sockets = false; end(); });
`;

export async function probeSandbox(deps: { readonly clock: Clock }, bwrap: string): Promise<SandboxLayers> {
  const launcher = bubblewrap(deps, bwrap);
  const refusal = await launcher.refusal();
  if (refusal !== undefined) return { ...nothing, refusal: refusal.message };
  const { file, args, filter } = launcher.command(['-e', program], []);
  const child = spawn(file, args, { env: {}, cwd: '/', stdio: ['ignore', 'pipe', 'ignore', 'ignore', 'pipe'] });
  giveFilter(child, filter);
  using _deadline = deps.clock.after(launcherMsMax, () => void child.kill('SIGKILL'));
  let said = '';
  child.stdout?.on('data', (chunk: Buffer) => (said = (said + chunk.toString('utf8')).slice(0, 4096)));
  await new Promise<void>((resolve) => {
    child.on('error', () => resolve());
    child.on('close', () => resolve());
  });
  const parsed = parseJson(said);
  if (!parsed.ok || !isJsonObject(parsed.value)) return { ...nothing, refusal: 'the probe in it said nothing' };
  const { files, network, sockets, processes } = parsed.value;
  return { files: files === true, network: network === true, sockets: sockets === true, processes: processes === true };
}
