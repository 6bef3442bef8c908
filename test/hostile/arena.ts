/**
 * Where hostile agents meet a whole daemon: its own process, the real socket, the real ledger, real cells.
 *
 * One agent, `hostile`, is the probe that the project ships under a broad policy.caps; each node's `caps` narrows it to
 * what the case is about. A run's own events say what was asked, refused and granted.
 */
import { cpSync, mkdirSync, readFileSync, writeFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type JsonObject, type JsonValue, type RunEvent, systemClock, systemRandom, unwrap } from '@runloop/core';
import { type Client, connect } from '@runloop/sdk';
import { expect } from 'vitest';
import { Home } from '../e2e/home.ts';
import { root } from '../e2e/place.ts';

export type Try = { readonly try?: string; readonly op?: string; readonly args?: JsonObject; readonly count?: number };
export type Answer = {
  readonly ok: boolean;
  readonly value?: JsonValue;
  readonly code?: string;
  readonly message?: string;
};
export type Played = {
  /** What each try was answered; undefined where the agent gave none. */
  readonly answers: readonly Answer[] | undefined;
  readonly end: JsonObject;
  readonly audits: readonly JsonObject[];
  readonly asked: readonly JsonObject[];
  readonly events: readonly RunEvent[];
};

/** Every grant taken away; a case adds what it is about. */
export const nothing: JsonObject = {
  fs: [],
  net: [],
  time: false,
  kb_read: false,
  kb_write: false,
  secrets: [],
  model: false,
  exec: [],
  tools: [],
  mailbox: [],
};

export class Arena implements AsyncDisposable {
  readonly home: Home;
  /** The directory that agents may be granted. */
  readonly shelf: string;
  readonly client: Client;
  readonly socket: string;
  readonly token: string;
  #runs = 0;

  private constructor(home: Home, shelf: string, client: Client, socket: string, token: string) {
    this.home = home;
    this.shelf = shelf;
    this.client = client;
    this.socket = socket;
    this.token = token;
  }

  /**
   * `caps` is the agent's policy.caps, `{shelf}` standing for the directory. `replays` is false where files that a replay
   * needs are changed.
   */
  static async open(caps: string, config = '', tools?: JsonObject, replays = true): Promise<Arena> {
    const home = new Home({ env: { HOME: '/nonexistent' }, replays });
    const shelf = join(home.path, '..', `${home.path.split('/').pop() ?? ''}-shelf`);
    mkdirSync(shelf);
    const dir = join(home.path, 'agents', 'hostile');
    cpSync(join(root, 'agents/probe/src'), join(dir, 'src'), { recursive: true });
    const manifest = readFileSync(join(root, 'agents/probe/manifest.toml'), 'utf8');
    writeFileSync(join(dir, 'manifest.toml'), manifest.replaceAll('probe', 'hostile'));
    writeFileSync(join(dir, 'policy.caps'), caps.replaceAll('{shelf}', shelf));
    if (tools !== undefined) writeFileSync(join(dir, 'tools.json'), JSON.stringify(tools));
    if (config !== '') writeFileSync(join(home.path, 'config.yaml'), config);
    for (const args of [
      ['agent', 'build', dir],
      ['daemon', 'start'],
    ]) {
      const done = await home.rlp(...args);
      if (done.code !== 0) throw new Error(`rlp ${args.join(' ')}: ${done.err}`);
    }
    const { socket } = await home.json<{ socket: string }>('daemon', 'status');
    const token = readFileSync(join(home.path, 'operator.token'), 'utf8').trim();
    return new Arena(home, shelf, await session(socket, token), socket, token);
  }

  /** The same with parameters. */
  playWith(params: JsonObject, caps: JsonObject, ...tries: readonly Try[]): Promise<Played> {
    return this.playAgent('hostile', { ...nothing, ...caps }, { tries }, false, params);
  }

  /** Runs the tries in one node; whatever asks is denied. */
  play(caps: JsonObject, ...tries: readonly Try[]): Promise<Played> {
    return this.playAgent('hostile', { ...nothing, ...caps }, { tries });
  }

  /** `{{params.…}}` in what is given stands for `params`, whose texts are taken as they are. */
  async playAgent(
    agent: string,
    caps: JsonObject | undefined,
    given: JsonObject,
    approve = false,
    params: JsonObject = {},
  ): Promise<Played> {
    this.#runs += 1;
    const traceId = this.#runs.toString(16).padStart(32, 'a') as never;
    const node = { id: 'n', use: `agent:${agent}`, with: given, ...(caps === undefined ? {} : { caps }) };
    const text = JSON.stringify({ version: 0, name: 'hostile', params, nodes: [node] });
    const accepted = await this.client.call('run.submit', { text, on_confirm: approve ? 'wait' : 'deny' }, { traceId });
    unwrap(accepted, 'the run is accepted');
    const events: RunEvent[] = [];
    for await (const event of this.client.follow(traceId)) {
      events.push(event);
      if (event.kind === 'action.requested' && approve) await this.approve(event.meta);
    }
    const of = (kind: string): JsonObject[] => events.filter((event) => event.kind === kind).map(({ meta }) => meta);
    const end = of('node.finished')[0] ?? {};
    const outputs = end['outputs'] as { out?: readonly { digest: string }[] } | undefined;
    const digest = outputs?.out?.[0]?.digest;
    const answers = digest === undefined ? undefined : ((await this.blob(digest)) as unknown as readonly Answer[]);
    return { answers, end, audits: of('cap.audit'), asked: of('action.requested'), events };
  }

  /** Runs the tries with an operator who says yes to everything. */
  playApproved(caps: JsonObject, ...tries: readonly Try[]): Promise<Played> {
    return this.playAgent('hostile', { ...nothing, ...caps }, { tries }, true);
  }

  async approve({ action, hash }: JsonObject): Promise<void> {
    unwrap(await this.client.call('action.decide', { action, hash, decision: 'approve' }), 'it is approved');
  }

  async propose(kind: string, payload: JsonObject): Promise<void> {
    const done = await this.home.rlp('kb', 'propose', '--kind', kind, '--payload', JSON.stringify(payload));
    if (done.code !== 0) throw new Error(done.err);
  }

  async blob(digest: string): Promise<JsonValue> {
    const found = unwrap(await this.client.call('kb.blob', { digest }), 'a blob') as { readonly base64: string };
    return JSON.parse(Buffer.from(found.base64, 'base64').toString('utf8')) as JsonValue;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client[Symbol.asyncDispose]();
    await this.home[Symbol.asyncDispose]();
    rmSync(this.shelf, { recursive: true, force: true });
  }
}

export async function session(socketPath: string, token?: string): Promise<Client> {
  const who = { socketPath, kind: 'cli', name: 'hostile', ...(token === undefined ? {} : { token }) } as const;
  return unwrap(await connect({ ...who, clock: systemClock, random: systemRandom }), 'a session');
}

/** The one call of `op` was refused, the error names the grant, and the ledger says the same. */
export function refused(played: Played, cap: string, op: string, grant: string | RegExp): void {
  const answer = played.answers?.at(-1);
  const names = (text: unknown): boolean =>
    typeof text === 'string' && (typeof grant === 'string' ? text.includes(grant) : grant.test(text));
  expect(answer).toMatchObject({ ok: false, code: 'CapabilityDenied' });
  expect(names(answer?.message), answer?.message).toBe(true);
  const audit = played.audits.at(-1);
  expect(audit).toMatchObject({ agent: 'hostile', cap, op, decision: 'deny' });
  expect(names(audit?.['reason']), String(audit?.['reason'])).toBe(true);
}
