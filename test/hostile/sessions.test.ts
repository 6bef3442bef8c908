/** Local processes that are not the operator: without a token, with a forged, an expired, a revoked, a narrow one. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Result, unwrap } from '@runloop/core';
import { Arena, session } from './arena.ts';

let arena: Arena;
let trace: string;
let question: { action: string; hash: string };
const traceId = 'b'.repeat(32);

beforeAll(async () => {
  arena = await Arena.open('mail = { from = "me@example.com", to = ["*@example.com"] }\n');
  const tries = [{ op: 'mail.send', args: { to: ['a@example.com'], subject: 's', body: 'b' } }];
  const text = JSON.stringify({
    version: 0,
    name: 'waits',
    nodes: [{ id: 'n', use: 'agent:hostile', with: { tries } }],
  });
  trace = traceId;
  unwrap(await arena.client.call('run.submit', { text, on_confirm: 'wait' }, { traceId: traceId as never }), 'a run');
  for await (const event of arena.client.follow(traceId as never)) {
    if (event.kind !== 'action.requested') continue;
    question = { action: String(event.meta['action']), hash: String(event.meta['hash']) };
    break;
  }
});
afterAll(() => arena[Symbol.asyncDispose]());

const hello = 'version: 0\nname: x\nnodes: [{ id: n, use: "agent:greeter" }]\n';
const deeds: readonly (readonly [string, () => object])[] = [
  ['run.submit', () => ({ text: hello })],
  ['run.show', () => ({ trace_id: trace })],
  ['run.events', () => ({ trace_id: trace })],
  ['run.cancel', () => ({ trace_id: trace })],
  ['action.list', () => ({})],
  ['action.decide', () => ({ ...question, decision: 'approve' })],
  ['kb.search', () => ({ text: 'x' })],
  ['kb.blob', () => ({ digest: '0'.repeat(64) })],
  ['token.issue', () => ({ name: 'x', can: ['run.submit'] })],
  ['token.rotate', () => ({})],
  ['agent.install', () => ({ source: '/tmp' })],
  ['agent.release', () => ({ name: 'hostile' })],
  ['agent.verify', () => ({ name: 'hostile' })],
  ['daemon.drain', () => ({})],
];
const denied = { ok: false, error: { code: 'Forbidden' } };

async function tryAll(token: string | undefined, except: readonly string[] = []): Promise<void> {
  const client = await session(arena.socket, token);
  for (const [op, args] of deeds) {
    if (except.includes(op)) continue;
    expect({ op, ...(await client.call(op, args())) }).toMatchObject({ op, ...denied });
  }
  await client[Symbol.asyncDispose]();
}

const issue = async (more: readonly string[]): Promise<string> =>
  (await arena.home.rlp('token', 'issue', ...more)).out.trim();

describe('submits, reads and approves nothing', () => {
  test('without a token', () => tryAll(undefined));

  test.each<[string, () => Promise<string>]>([
    ['forged', async () => 'f'.repeat(64)],
    ['forged from the real one', async () => `${arena.token.slice(0, -1)}${arena.token.endsWith('0') ? '1' : '0'}`],
    ['longer than the real one', async () => `${arena.token}0`],
    [
      'revoked',
      async () => {
        const token = await issue(['--name', 'gone', '--can', 'run.submit']);
        await arena.home.rlp('token', 'revoke', 'gone');
        return token;
      },
    ],
    [
      'expired',
      async () => {
        const token = await issue(['--name', 'late', '--can', 'run.submit', '--expires', '1s']);
        await new Promise((resolve) => setTimeout(resolve, 1_200));
        return token;
      },
    ],
  ])('with a token that is %s', async (_, make) => {
    const token = await make();
    const refused: Result<unknown, unknown> = await session(arena.socket, token).then(
      (client) => ({ ok: true, value: client }) as const,
      (error: unknown) => ({ ok: false, error }),
    );
    expect(refused.ok).toBe(false);
  });

  test('with a narrow token: what it may submit is its own, what others did is not there', async () => {
    const token = await issue(['--name', 'narrow', '--can', 'run.submit,run.read']);
    const client = await session(arena.socket, token);
    expect(await client.call('run.show', { trace_id: trace })).toMatchObject({
      ok: false,
      error: { code: 'NotFound' },
    });
    expect((await client.call('run.submit', { text: hello })).ok).toBe(true);
    await client[Symbol.asyncDispose]();
    await tryAll(token, ['run.submit', 'run.show', 'run.events', 'run.cancel']);
  });

  test('with a token whose holder replays it after the operator rotated it', async () => {
    const old = arena.token;
    expect(await arena.home.rlp('token', 'rotate')).toMatchObject({ code: 0 });
    await expect(session(arena.socket, old)).rejects.toThrow();
    const waits = await arena.home.json<readonly { action: string }[]>('approve');
    expect(waits.map(({ action }) => action)).toEqual([question.action]);
  });
});
