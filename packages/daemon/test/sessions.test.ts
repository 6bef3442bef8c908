/** Sessions over real sockets: hello, access, control, the bus, and clients that mean no good. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Failure, type Result, type TraceId, failure, err, ok, unwrap } from '@runloop/core';
import * as fc from 'fast-check';
import { schema } from '@runloop/rmp';
import { leakedSince, openResources } from '@runloop/testkit';
import { describe, expect, test } from 'vitest';
import { codeOf, encode, fixture, hello, readToken } from './sessions-fixture.ts';

const trace = 'b'.repeat(32) as TraceId;
const codes = (results: readonly Result<unknown, Failure>[]): string[] =>
  results.map((one) => (one.ok ? 'ok' : one.error.code));

describe('hello', () => {
  test('grants no more than was proven', async () => {
    await using f = await fixture();
    const narrow = unwrap(f.tokens.issue({ name: 'ci', grants: ['run.submit', 'run.read'] }), 'issued').token;
    const check = async (kind: 'cli' | 'bridge' | 'sdk', token: string | undefined, granted: string): Promise<void> => {
      const client = await f.client(token === undefined ? { kind } : { kind, token });
      expect(client.welcome.kind).toBe(granted);
    };
    await check('cli', undefined, 'sdk');
    await check('bridge', undefined, 'sdk');
    await check('cli', narrow, 'sdk');
    await check('bridge', narrow, 'bridge');
    await check('cli', f.operatorToken(), 'cli');
  });

  test('comes first, is understood, and is said once', async () => {
    await using f = await fixture();
    const early = await f.raw();
    early.send(encode(schema.control, { v: 1, op: 'ping' }));
    await early.closed;
    expect(early.frames.map(codeOf)).toEqual(['HelloRequired']);
    const wrong = await f.raw();
    wrong.send(hello('0'.repeat(64)));
    wrong.send(encode(schema.agentHello, { v: 1 }));
    wrong.send(hello());
    wrong.send(hello());
    await wrong.wait(4);
    expect(wrong.frames.map(codeOf)).toEqual(['Forbidden', 'BodyDecodeError', undefined, 'Conflict']);
    expect(f.log.at('warn').some(({ message }) => message === 'refused')).toBe(true);
  });

  test('A10: is waited for no longer than helloMsMax, and sessionsMax are served', async () => {
    await using f = await fixture({ limits: { helloMsMax: 50, sessionsMax: 1 } });
    const first = await f.raw();
    const second = await f.raw();
    await second.closed;
    expect(second.frames.map(codeOf)).toEqual(['LimitExceeded']);
    await first.closed;
    expect(first.frames.map(codeOf)).toEqual(['HelloRequired']);
  });

  test('a foreign uid is refused', async () => {
    await using f = await fixture({ deps: { peer: () => ok({ uid: 4242, gid: 1, pid: 1 }) } });
    const raw = await f.raw();
    await raw.closed;
    expect(raw.frames.map(codeOf)).toEqual(['Forbidden']);
  });

  test('in system mode the uid makes the operator', async () => {
    await using f = await fixture({
      deps: { mode: 'user', ownUid: 4242, peer: () => ok({ uid: 4242, gid: 1, pid: 1 }) },
    });
    expect((await (await f.client()).call('run.list', {})).ok).toBe(false);
    await using g = await fixture({
      deps: { mode: 'system', isOperator: ({ uid }) => uid === 4242, peer: () => ok({ uid: 4242, gid: 1, pid: 1 }) },
    });
    expect(await (await g.client()).call('run.list', {})).toMatchObject({ value: { who: 'operator' } });
  });
});

describe('control', () => {
  test('asks the grant of each', async () => {
    await using f = await fixture();
    const narrow = unwrap(f.tokens.issue({ name: 'ci', grants: ['run.submit'] }), 'issued').token;
    const [none, client, operator] = [
      await f.client(),
      await f.client({ token: narrow }),
      await f.client({ kind: 'cli', token: f.operatorToken() }),
    ];
    const ops = ['daemon.version', 'run.submit', 'token.issue'];
    const calls = async (who: typeof none): Promise<string[]> =>
      codes(await Promise.all(ops.map((op) => who.call(op, {}))));
    expect(await calls(none)).toEqual(['ok', 'Forbidden', 'Forbidden']);
    expect(await calls(client)).toEqual(['ok', 'ok', 'Forbidden']);
    expect(await calls(operator)).toEqual(['ok', 'ok', 'ok']);
    expect(await none.call('run.submit', {})).toMatchObject({ error: { details: { missing: 'run.submit' } } });
    expect(await operator.call('kb.search', {})).toEqual(
      err(failure('Busy', 'busy now', { hint: 'later', details: { a: 1 } })),
    );
    expect(f.asked.length).toBe(7);
  });

  test('a change runs once for a trace id, other arguments are a conflict', async () => {
    let busy = 2;
    await using f = await fixture({
      control: ({ op }) =>
        Promise.resolve(
          op === 'run.step' && (busy -= 1) > 0 ? err(failure('Busy', 'not now')) : ok({ n: Math.random() }),
        ),
    });
    const a = await f.client({ kind: 'cli', token: f.operatorToken() });
    const b = await f.client({ kind: 'cli', token: f.operatorToken() });
    const args = { opening: 'x', params: { b: 1, a: [2] } };
    const [first, again] = await Promise.all([
      a.call('run.submit', args, { traceId: trace }),
      b.call('run.submit', { params: { a: [2], b: 1 }, opening: 'x' }, { traceId: trace }),
    ]);
    expect(again).toEqual(first);
    expect(await a.call('run.submit', { opening: 'y' }, { traceId: trace })).toMatchObject({
      error: { code: 'Conflict' },
    });
    expect(await a.call('run.cancel', args, { traceId: trace })).toMatchObject({ error: { code: 'Conflict' } });
    expect((await a.call('run.show', args, { traceId: trace })).ok).toBe(true);
    expect(f.asked.map(({ op }) => op)).toEqual(['run.submit', 'run.show']);
    const step = { traceId: 'c'.repeat(32) as TraceId };
    expect(codes([await a.call('run.step', {}, step), await a.call('run.step', {}, step)])).toEqual(['Busy', 'ok']);
  });

  test('A10: callsMax run at a time, and one that throws fails alone', async () => {
    const { promise, resolve } = Promise.withResolvers<Result<unknown, Failure>>();
    await using f = await fixture({
      limits: { callsMax: 2 },
      control: ({ op }) => {
        if (op === 'run.show') throw new Error('defect');
        return promise;
      },
    });
    const client = await f.client({ kind: 'cli', token: f.operatorToken() });
    const slow = [client.call('run.list', {}), client.call('run.list', {})];
    expect(codes([await client.call('run.list', {})])).toEqual(['LimitExceeded']);
    resolve(ok(1));
    expect(codes(await Promise.all(slow))).toEqual(['ok', 'ok']);
    expect(codes([await client.call('run.show', {})])).toEqual(['Internal']);
    expect((await client.ping()).ok).toBe(true);
  });

  test('a session that goes away aborts what only reads', async () => {
    const aborted = Promise.withResolvers<void>();
    await using f = await fixture({
      control: ({ signal }) =>
        new Promise((resolve) => {
          signal.addEventListener('abort', () => {
            aborted.resolve();
            resolve(ok(1));
          });
        }),
    });
    const client = await f.client({ kind: 'cli', token: f.operatorToken() });
    const waiting = client.call('run.events', {});
    while (f.asked.length === 0) await new Promise(setImmediate);
    await client[Symbol.asyncDispose]();
    await aborted.promise;
    expect(await waiting).toMatchObject({ error: { code: 'DaemonUnavailable' } });
  });

  test('a run is followed without gap or repeat until it has finished', async () => {
    await using f = await fixture();
    const client = await f.client({ kind: 'cli', token: f.operatorToken() });
    const seqs: unknown[] = [];
    for await (const event of client.follow(trace)) seqs.push(event.seq);
    expect(seqs).toEqual([1, 2, 3, 4, 5]);
    const nobody = await f.client();
    await expect(async () => {
      for await (const event of nobody.follow(trace)) seqs.push(event);
    }).rejects.toThrow('missing run.read');
  });
});

describe('tokens on live sessions', () => {
  test('revoking ends them at once, rotating ends those of the old token', async () => {
    await using f = await fixture({
      control: ({ op, args }) =>
        Promise.resolve(op === 'token.revoke' ? f.tokens.revoke((args as { name: string }).name) : f.tokens.rotate()),
    });
    const narrow = unwrap(f.tokens.issue({ name: 'ci', grants: ['run.read'] }), 'issued').token;
    const client = await f.client({ token: narrow });
    const operator = await f.client({ kind: 'cli', token: f.operatorToken() });
    const before = f.operatorToken();
    expect((await operator.call('token.revoke', { name: 'ci' })).ok).toBe(true);
    expect(await client.closed).toMatchObject({ code: 'Forbidden' });
    expect((await operator.call('token.rotate', {})).ok).toBe(true);
    expect(await operator.closed).toMatchObject({ code: 'Forbidden' });
    expect(readToken(f.stateDir)).not.toBe(before);
    const raw = await f.raw();
    for (const token of [before, narrow, readToken(f.stateDir)]) raw.send(hello(token));
    await raw.wait(3);
    expect(raw.frames.map(codeOf)).toEqual(['Forbidden', 'Forbidden', undefined]);
  });
});

describe('the bus over sockets', () => {
  test('publish, subscribe, ack, request and reply', async () => {
    await using f = await fixture();
    const [a, b] = [await f.client(), await f.client()];
    await using sub = unwrap(await b.subscribe('news/*'), 'subscribed');
    const messages = sub[Symbol.asyncIterator]();
    expect(await a.publish('news/x', { schemaId: 1, payload: { n: 1 }, ack: true })).toMatchObject({
      value: { delivered: 1 },
    });
    const got = (await messages.next()).value;
    expect([got?.topic, got?.type, JSON.stringify(got?.payload)]).toEqual([
      'news/x',
      'observation.generic.v1',
      '{"n":1}',
    ]);
    expect(await a.publish('rlp/sys/x', { schemaId: 1, payload: 1, ack: true })).toMatchObject({
      error: { code: 'Forbidden' },
    });
    expect(await a.subscribe('**')).toMatchObject({ error: { code: 'Forbidden' } });
    await using work = unwrap(await b.subscribe('work'), 'subscribed');
    void (async () => {
      for await (const message of work) await b.reply(message, { schemaId: 4, payload: Number(message.payload) * 2 });
    })();
    const answers = await Promise.all([1, 2, 3].map((n) => a.request('work', { schemaId: 2, payload: n })));
    expect(answers.map((one) => (one.ok ? one.value.payload : one.error))).toEqual([2, 4, 6]);
    expect(await a.request('nobody', { schemaId: 2, payload: 1 })).toMatchObject({ error: { code: 'NotFound' } });
  });

  test('what arrives is what was sent, byte for byte, A9: newer keys and types included', async () => {
    await using f = await fixture();
    const [a, b] = [await f.raw(), await f.raw()];
    a.send(hello());
    b.send(hello());
    b.send(encode(schema.subscribe, { v: 1, sub: 1, topic: 't', newer: true }, { ack: true }));
    await b.wait(2);
    const sent = Array.from({ length: 500 }, (_, i) =>
      encode(1, { i, pad: 'x'.repeat(i * 7) }, { topic: 't', newer: { a: 1 } }),
    );
    const stream = Buffer.concat(sent);
    for (let at = 0; at < stream.length; at += 10_007) a.send(stream.subarray(at, at + 10_007));
    await b.wait(502);
    expect(Buffer.concat(b.frames.slice(2).map((one) => one.raw)).equals(stream)).toBe(true);
    a.send(encode(schema.control, { v: 1, op: 'from the future' }));
    a.send(encode(schema.control, { v: 1, op: 'ping' }));
    await a.wait(2);
    expect(a.frames[1]?.payload()).toMatchObject({ op: 'pong' });
  });

  test('a decision over the bus reaches the action, with the hash that was shown', async () => {
    await using f = await fixture({
      control: ({ args }) =>
        Promise.resolve(
          (args as { hash?: string }).hash === 'shown' ? ok({}) : err(failure('Conflict', 'not what was shown')),
        ),
    });
    const operator = await f.client({ kind: 'tui', token: f.operatorToken() });
    const decide = (hash: string): ReturnType<typeof operator.publish> =>
      operator.publish('rlp/actions/decisions', {
        schemaId: 3006,
        payload: { v: 1, action: 'act_1', decision: 'approve', hash },
        ack: true,
      });
    expect(await decide('other')).toMatchObject({ error: { code: 'Conflict' } });
    expect(await decide('shown')).toMatchObject({ value: { delivered: 1 } });
    expect(f.asked.map(({ op }) => op)).toEqual(['action.decide', 'action.decide']);
    expect(
      await (await f.client()).publish('rlp/actions/decisions', { schemaId: 3006, payload: {}, ack: true }),
    ).toMatchObject({ error: { code: 'Forbidden' } });
  });

  test("the daemon's own events arrive, drain is told, closing ends every session", async () => {
    const before = openResources();
    const f = await fixture();
    const operator = await f.client({ kind: 'tui', token: f.operatorToken() });
    await using sub = unwrap(await operator.subscribe('rlp/runs/*/events'), 'subscribed');
    expect(f.server.publish(`rlp/runs/${trace}/events`, { schemaId: 8, payload: { seq: 1 }, traceId: trace })).toEqual(
      ok(1),
    );
    expect((await sub[Symbol.asyncIterator]().next()).value?.payload).toMatchObject({ seq: 1 });
    f.server.drain();
    await operator.ping();
    expect(operator.isDraining).toBe(true);
    await f[Symbol.asyncDispose]();
    expect((await operator.closed).code).toBe('DaemonUnavailable');
    expect(existsSync(f.path)).toBe(false);
    expect(await leakedSince(before)).toEqual({});
  });

  test('A10: who does not read is cut off, memory stays bounded, and every frame is accounted for', async () => {
    await using f = await fixture({ bus: { queueFramesMax: 64, sendTimeoutMs: 20, slowConsumerMs: 200 } });
    const slow = await f.raw();
    slow.send(hello());
    slow.send(encode(schema.subscribe, { v: 1, sub: 1, topic: 't' }, { ack: true }));
    await slow.wait(2);
    slow.socket.pause();
    const a = await f.client();
    let delivered = 0;
    const count = 2000;
    for (let i = 0; i < count; i += 1) {
      const done = unwrap(
        await a.publish('t', { schemaId: 1, payload: new Uint8Array(10_000), ack: true }),
        'published',
      );
      delivered += done.delivered ?? 0;
      expect(f.bus.stats().queuedFrames).toBeLessThanOrEqual(64);
      if (f.bus.stats().subscriptions === 0) break;
    }
    while (f.bus.stats().subscriptions > 0) await new Promise(setImmediate);
    slow.socket.resume();
    await slow.closed;
    const { drops, published } = f.bus.stats();
    expect(drops.backpressure).toBeGreaterThan(0);
    expect(published).toBeGreaterThanOrEqual(delivered);
    expect((await a.ping()).ok).toBe(true);
  });
});

describe('bad clients', () => {
  test('any bytes: the worst is that this one is closed, and another is served as before', async () => {
    await using f = await fixture();
    const good = await f.client();
    const seed = encode(1, { a: 1 }, { topic: 'x' });
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.uint8Array({ maxLength: 400 }),
        fc.nat(seed.length - 1),
        async (greets, noise, at) => {
          const bad = await f.raw();
          if (greets) bad.send(hello());
          bad.send(Buffer.concat([seed.subarray(0, at), noise]));
          bad.socket.end();
          await bad.closed;
          expect((await good.ping()).ok).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
    expect(f.log.at('error')).toEqual([]);
  });

  test('an error that leaves the stream sound is answered, naming its frame; one that does not ends it', async () => {
    await using f = await fixture();
    const raw = await f.raw();
    raw.send(hello());
    const unknown = encode(1, 1, { topic: 'x' });
    unknown.writeUInt16BE(999, 16);
    raw.send(unknown);
    raw.send(encode(1, 1));
    raw.send(encode(1, 1, { topic: 'no topic' }));
    raw.send(Buffer.concat([Buffer.from('000000a0', 'hex'), Buffer.alloc(64, 'x')]));
    await raw.closed;
    expect(raw.frames.slice(1).map(codeOf)).toEqual([
      'UnknownSchema',
      'BodyDecodeError',
      'BodyDecodeError',
      'InvalidMagic',
    ]);
    expect(raw.frames[1]?.meta?.['in_reply_to']).toBe(Number(unknown.readBigUInt64BE(56)));
    expect(raw.frames[1]?.traceId).toBe('a'.repeat(32));
  });

  test('who asks without reading is not read from', async () => {
    await using f = await fixture({ limits: { repliesBytesMax: 10_000 } });
    const raw = await f.raw();
    raw.send(hello());
    await raw.wait(1);
    raw.socket.pause();
    const pings = Buffer.concat(Array.from({ length: 20_000 }, () => encode(schema.control, { v: 1, op: 'ping' })));
    raw.send(pings);
    expect((await (await f.client()).ping()).ok).toBe(true);
    raw.socket.resume();
    await raw.wait(20_001);
    expect(raw.frames.length).toBe(20_001);
  });
});

describe('the socket', () => {
  test('is closed to others; a stale one is replaced, a live one and what is no socket are left', async () => {
    await using f = await fixture();
    expect(statSync(f.path).mode & 0o777).toBe(0o600);
    expect(statSync(join(f.path, '..')).mode & 0o777).toBe(0o700);
    const second = await fixture();
    const other = second.server;
    expect(await other.listen(f.path)).toMatchObject({ error: { code: 'Busy' } });
    const folder = mkdtempSync(join(tmpdir(), 'rl-'));
    chmodSync(folder, 0o700);
    const file = join(folder, 'x.sock');
    writeFileSync(file, 'mine');
    expect(await other.listen(file)).toMatchObject({ error: { code: 'InvalidConfig' } });
    chmodSync(folder, 0o755);
    expect(await other.listen(join(folder, 'y.sock'))).toMatchObject({ error: { code: 'InvalidConfig' } });
    expect(await other.listen(join(folder, 'n'.repeat(108)))).toMatchObject({ error: { code: 'InvalidConfig' } });
    mkdirSync(join(folder, 'deep'), { mode: 0o700 });
    const stale = join(folder, 'deep', 's.sock');
    await leaveStale(stale);
    expect(await other.listen(stale)).toEqual(ok(undefined));
    await second[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });
});

/** A socket file whose listener is gone, as a killed daemon leaves it. */
async function leaveStale(path: string): Promise<void> {
  const { spawnSync } = await import('node:child_process');
  const code = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', code]);
  expect(existsSync(path)).toBe(true);
}
