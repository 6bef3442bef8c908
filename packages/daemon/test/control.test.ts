/** Telling runs what to do: an order counts once it is durable, and a cancel ends what is under way, children and connections too. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { systemClock, systemRandom, unwrap } from '@runloop/core';
import type { Caps } from '@runloop/runtime';
import { describe, expect, test } from 'vitest';
import { createControl } from '../src/control/control.ts';
import { runOperations } from '../src/control/run-operations.ts';
import { EventFeed } from '../src/runs/feed.ts';
import { metaOf } from '../src/runs/tape.ts';
import { type Boot, bundle, endOf, of, opening, Place, type Script, traceId } from './runs-fixture.ts';

const nothing: Script = () => Promise.resolve(1);
const operator = { type: 'operator', id: 'operator:0', uid: 0, pid: 0, name: 'operator', grants: [] } as const;

function control(place: Place, { runs }: Boot): (op: string) => Promise<unknown> {
  const feed = new EventFeed(systemClock, place.kb);
  const port = createControl(
    runOperations({ kb: place.kb, runs, feed, openingDirs: [], homeDir: '/nonexistent', never: [] }),
  );
  const { signal } = new AbortController();
  return (op) => port.call({ op, args: { trace_id: traceId }, principal: operator, traceId: traceId as never, signal });
}

describe('A6: an order is answered when it is durable', () => {
  test.each(['run.pause', 'run.cancel'])('%s', async (op) => {
    await using place = await Place.open();
    const seen: string[] = [];
    const boot = await place.boot(() => new Promise(() => undefined), {
      ledger: (real) => ({
        ...real,
        append: async (drafts) => {
          const written = await real.append(drafts);
          seen.push(...drafts.map(({ kind }) => kind));
          return written;
        },
      }),
    });
    await boot.submit();
    await boot.until('node.started');
    await control(place, boot)(op);
    expect(seen).toContain(op === 'run.pause' ? 'run.paused' : 'run.trace');
  });

  const chain = opening(2, 'edges:\n  - { from: n0.out, to: n1.in }\n');

  test('stepped just before a crash: one node runs after it, and no more', async () => {
    await using place = await Place.open();
    const first = await place.boot(() => new Promise(() => undefined));
    // What runs in all slots keeps the step from beginning.
    const others = Array.from({ length: 4 }, (_, i) => String(i).padStart(32, '0'));
    for (const id of others) unwrap(await first.submit({ traceId: id }), 'another run');
    for (const id of others) await first.until('node.started', id);
    await first.submit({ text: chain });
    await first.until('node.ready');
    const order = control(place, first);
    await order('run.pause');
    expect(await order('run.step')).toMatchObject({ ok: true });
    const second = await place.boot(nothing);
    await second.until('node.finished');
    for (const id of others) await second.until('run.finished', id);
    expect(second.runs.get(traceId)?.state.nodes.map(({ phase }) => phase)).toEqual(['succeeded', 'ready']);
  });

  test('resume and step of a run that goes by itself are refused, pausing twice is not', async () => {
    await using place = await Place.open();
    const boot = await place.boot(() => new Promise(() => undefined));
    await boot.submit();
    await boot.until('node.started');
    const order = control(place, boot);
    for (const op of ['run.resume', 'run.step'])
      expect(await order(op)).toMatchObject({ ok: false, error: { code: 'Conflict' } });
    for (let twice = 0; twice < 2; twice += 1)
      expect(await order('run.pause')).toMatchObject({ ok: true, value: { state: 'paused' } });
    expect(await order('run.resume')).toMatchObject({ ok: true, value: { state: 'running' } });
    expect(await order('run.cancel')).toMatchObject({ ok: true });
    expect(endOf(await boot.until('run.finished'))).toMatchObject({ state: 'cancelled' });
    expect(await order('run.pause')).toMatchObject({ ok: false, error: { code: 'NotFound' } });
  });
});

describe('cancel ends what is under way', () => {
  test('a request to a slow server: it sees the connection close', async () => {
    await using place = await Place.open();
    const closed = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    const server = createServer((_, response) => {
      response.on('close', () => closed.resolve());
      reached.resolve();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const site = `http://localhost:${(server.address() as AddressInfo).port}`;
    const caps: Caps = { ...bundle.caps, net: [site] };
    const boot = await place.boot(async (call) => (await call('http.fetch', { url: site })).type, { caps });
    await boot.submit();
    await reached.promise;
    await control(place, boot)('run.cancel');
    await closed.promise;
    expect(endOf(await boot.until('run.finished'))).toMatchObject({ state: 'cancelled' });
    server.close();
  });

  test.skipIf(!existsSync('/usr/bin/bwrap'))('a command: its processes are gone', async () => {
    await using place = await Place.open();
    const seconds = String(1000 + (systemRandom.bytes(2)[0] ?? 0) * 256 + (systemRandom.bytes(2)[1] ?? 0));
    const sleeps = (): number =>
      readdirSync('/proc').filter((pid) => {
        if (!/^\d+$/.test(pid)) return false;
        try {
          return readFileSync(join('/proc', pid, 'cmdline'), 'utf8').startsWith(`/usr/bin/sleep\0${seconds}`);
        } catch {
          return false;
        }
      }).length;
    const caps: Caps = { ...bundle.caps, exec: [{ command: '/usr/bin/sleep', argv: ['{s}'] }] };
    const boot = await place.boot(
      async (call) => (await call('exec.run', { command: '/usr/bin/sleep', argv: [seconds] })).type,
      { caps, operator: { confirms: false } },
    );
    await boot.submit();
    for (let tries = 0; tries < 500 && sleeps() === 0; tries += 1)
      await new Promise((resolve) => {
        setTimeout(resolve, 20);
      });
    expect(sleeps()).toBeGreaterThan(0);
    await control(place, boot)('run.cancel');
    expect(endOf(await boot.until('run.finished'))).toMatchObject({ state: 'cancelled' });
    expect(sleeps()).toBe(0);
  });
});

describe('an attempt that asks for something else than its tape', () => {
  const mail = { to: ['a@b.c'], subject: 's', body: 'b' };

  /** Sends, reads, hangs; taken up again it reads something else. */
  async function diverged(place: Place): Promise<{ boot: Boot; sent: () => number; asked: ReturnType<typeof metaOf> }> {
    let sent = 0;
    let life = 0;
    const reached = Promise.withResolvers<void>();
    const script: Script = async (call) => {
      await call('mail.send', mail);
      await call('kb.propose', {
        kind: 'fact.asserted',
        payload: { subject: `life ${life}`, predicate: 'p', object: 'o' },
      });
      if (life > 1) return life;
      reached.resolve();
      return new Promise(() => undefined);
    };
    const start = (): Promise<Boot> => {
      life += 1;
      return place.boot(script, {
        operator: { confirms: false },
        performer: (real) => ({
          ...real,
          perform(op, ...more) {
            if (op === 'mail.send') sent += 1;
            return real.perform(op, ...more);
          },
        }),
      });
    };
    const first = await start();
    await first.submit();
    await reached.promise;
    const boot = await start();
    const rows = await boot.until('node.waiting');
    return {
      boot,
      sent: () => sent,
      asked: metaOf(of(rows, 'action.requested').at(-1) ?? expect.fail('nothing asked')),
    };
  }

  test('yes begins the next attempt, which does not send again', async () => {
    await using place = await Place.open();
    const { boot, sent, asked } = await diverged(place);
    expect(asked).toMatchObject({ op: 'node.retry', args: { attempt: 1, call: 1, recorded: { op: 'kb.propose' } } });
    await boot.runs.get(traceId)?.questions.decide(String(asked['action']), String(asked['hash']), 'approve', 'me');
    const rows = await boot.until('run.finished');
    expect(endOf(rows)).toMatchObject({ state: 'succeeded' });
    expect(of(rows, 'node.finished').map(metaOf)).toMatchObject([{ attempt: 2, state: 'succeeded' }]);
    expect(sent()).toBe(1);
  });

  test('no fails the node, also where the daemon is killed after the answer', async () => {
    await using place = await Place.open();
    const { boot, sent, asked } = await diverged(place);
    await boot.runs.get(traceId)?.questions.decide(String(asked['action']), String(asked['hash']), 'deny', 'me');
    const again = await place.boot(nothing);
    const rows = await again.until('run.finished');
    expect(of(rows, 'node.finished').map(metaOf)).toMatchObject([{ attempt: 1, code: 'ReplayDiverged' }]);
    expect(sent()).toBe(1);
  });
});
