/**
 * A state directory of a test's own, and rlp in it: real processes, the real socket, the built code.
 */
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { RunEvent } from '@runloop/core';
import { loadBlake3 } from '../../packages/kb/src/blake3.ts';
import { verifyLedger } from '../../packages/kb/src/ledger/verify.ts';
import { root, template } from './place.ts';

/** Whether a program can be given a network of its own, with nobody in it. */
const hasNamespaces = spawnSync('/usr/bin/unshare', ['-rn', 'true']).status === 0;

export type Done = { readonly code: number; readonly out: string; readonly err: string };

export class Home implements AsyncDisposable {
  readonly path: string;
  readonly #env: NodeJS.ProcessEnv;

  readonly #replays: boolean;

  /** `replays` is false for who has changed the tapes or the agents that they name. */
  constructor(options: { readonly bare?: boolean; readonly env?: NodeJS.ProcessEnv; readonly replays?: boolean } = {}) {
    this.#replays = options.replays ?? true;
    this.path = mkdtempSync(join(tmpdir(), 'rl-'));
    if (options.bare !== true) execFileSync('cp', ['-r', `${template}/.`, this.path]);
    this.#env = { ...process.env, ...options.env, RUNLOOP_HOME: this.path, NO_COLOR: '1' };
  }

  rlp(...args: string[]): Promise<Done> {
    return this.rlpWith({}, ...args);
  }

  /** Starts rlp and presses Ctrl-C as soon as a node has started. */
  async interrupted(...args: string[]): Promise<Done> {
    const child = spawn(join(root, 'bin/rlp'), args, { env: this.#env, cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => {
      const before = out.includes('node.started');
      out += chunk.toString();
      if (!before && out.includes('node.started')) child.kill('SIGINT');
    });
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    const code = await new Promise<number>((resolve) => {
      child.on('close', (status) => resolve(status ?? -1));
    });
    return { code, out, err };
  }

  /** Starts rlp and presses Ctrl-C as soon as it is time. */
  async interruptedWhen(isTime: () => boolean, cwd: string, ...args: string[]): Promise<Done> {
    const child = spawn(join(root, 'bin/rlp'), args, { env: this.#env, cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    const timer = setInterval(() => {
      if (!isTime()) return;
      clearInterval(timer);
      child.kill('SIGINT');
    }, 20);
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    const code = await new Promise<number>((resolve) => {
      child.on('close', (status) => resolve(status ?? -1));
    });
    clearInterval(timer);
    return { code, out, err };
  }

  async rlpWith(
    options: { readonly input?: string; readonly env?: NodeJS.ProcessEnv; readonly cwd?: string },
    ...args: string[]
  ): Promise<Done> {
    return this.#spawned(join(root, 'bin/rlp'), args, options);
  }

  async #spawned(
    command: string,
    args: readonly string[],
    options: { readonly input?: string; readonly env?: NodeJS.ProcessEnv; readonly cwd?: string },
  ): Promise<Done> {
    const child = spawn(command, args, {
      env: { ...this.#env, ...options.env },
      cwd: options.cwd ?? root,
      stdio: 'pipe',
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    const code = await new Promise<number>((resolve) => {
      child.on('close', (status) => resolve(status ?? -1));
    });
    return { code, out, err };
  }

  /**
   * rlp on a terminal of its own (`script` of util-linux): each answer is typed when its question stands there. What was
   * on the terminal, and the exit code.
   */
  async dialogue(
    cwd: string,
    args: readonly string[],
    turns: readonly (readonly [question: string, answer: string])[],
  ): Promise<{ readonly code: number; readonly screen: string }> {
    const command = [join(root, 'bin/rlp'), ...args].join(' ');
    const child = spawn('/usr/bin/script', ['-qefc', command, '/dev/null'], {
      env: { ...this.#env, TERM: 'xterm' },
      cwd,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.stdin.on('error', () => undefined);
    let screen = '';
    let from = 0;
    const left = [...turns];
    child.stdout.on('data', (chunk: Buffer) => {
      screen += chunk.toString();
      const [question, answer] = left[0] ?? [];
      const at = question === undefined ? -1 : screen.indexOf(question, from);
      if (question === undefined || answer === undefined || at < 0) return;
      from = at + question.length;
      left.shift();
      child.stdin.write(answer);
    });
    const code = await new Promise<number>((resolve) => {
      child.on('close', (status) => resolve(status ?? -1));
    });
    return { code, screen };
  }

  async json<T>(...args: string[]): Promise<T> {
    const { code, out, err } = await this.rlp(...args, '--json');
    if (code !== 0) throw new Error(`rlp ${args.join(' ')}: ${code} ${out} ${err}`);
    return JSON.parse(out) as T;
  }

  /** Runs an opening and hands each event over as it comes; answers the exit code. */
  async run(
    args: string[],
    onEvent: (event: RunEvent, child: ChildProcess) => Promise<void> | void = () => undefined,
  ): Promise<{ code: number; events: RunEvent[]; err: string }> {
    const child = spawn(join(root, 'bin/rlp'), ['run', ...args, '--ndjson'], {
      env: this.#env,
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const closed = new Promise<number>((resolve) => {
      child.on('close', (status) => resolve(status ?? -1));
    });
    let err = '';
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    const events: RunEvent[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      const event = JSON.parse(line) as RunEvent;
      events.push(event);
      await onEvent(event, child);
    }
    return { code: await closed, events, err };
  }

  /** Approves whatever is asked, from a second rlp, as a person in another terminal would. */
  readonly approve = async (event: RunEvent): Promise<void> => {
    if (event.kind !== 'action.requested') return;
    const done = await this.rlp('approve', 'yes', String(event.meta['action']), '--hash', String(event.meta['hash']));
    if (done.code !== 0) throw new Error(done.err);
  };

  async pid(): Promise<number> {
    return (await this.json<{ pid: number }>('daemon', 'status')).pid;
  }

  /** Kills the daemon as a crash would, and waits until it is gone. */
  async kill(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    const pid = Number(readFileSync(join(this.path, 'pog', 'owner.pid'), 'utf8'));
    process.kill(pid, signal);
    for (let tries = 0; tries < 500; tries += 1) {
      try {
        process.kill(pid, 0);
      } catch {
        return;
      }
      await new Promise((resolve) => {
        setTimeout(resolve, 10);
      });
    }
    throw new Error(`the daemon ${pid} is still there`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (existsSync(join(this.path, 'pog', 'owner.pid'))) await this.rlp('daemon', 'stop');
    const differing = this.#replays ? [...(await this.#verified()), ...(await this.#replayed())] : [];
    rmSync(this.path, { recursive: true, force: true });
    if (differing.length > 0)
      throw new Error(`what is wrong with the ledger or a replay: ${JSON.stringify(differing, null, 1)}`);
  }

  /** What is wrong with the ledger: its chain, or an event that has not the shape of its kind. */
  async #verified(): Promise<unknown[]> {
    const eventsDb = join(this.path, 'pog', 'events.sqlite');
    if (!existsSync(eventsDb)) return [];
    const checked = verifyLedger({ rootDir: join(this.path, 'pog'), eventsDb }, {}, await loadBlake3());
    if (!checked.ok) return [checked.error];
    const { first_bad: bad, bad_head: head, misfit } = checked.value;
    return [bad, head, misfit].filter((one) => one !== undefined);
  }

  /** Every run that has finished here, again over its tape, with no network: those that did not come out equal. */
  async #replayed(): Promise<unknown[]> {
    if (!existsSync(join(this.path, 'pog', 'events.sqlite'))) return [];
    const rlp = [join(root, 'bin/rlp'), 'replay', '--all', '--json'];
    const [command = '', ...args] = hasNamespaces ? ['/usr/bin/unshare', '-rn', ...rlp] : rlp;
    const { out, err } = await this.#spawned(command, args, {});
    const reports = JSON.parse(out || '[]') as { equal?: boolean }[] | { error: unknown };
    if (!Array.isArray(reports)) return [reports, err];
    // Of those that were forgotten nothing is left to compare.
    return reports.filter(({ equal }) => equal === false);
  }
}
