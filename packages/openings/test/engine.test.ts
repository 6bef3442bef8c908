/** The engine's invariants E1–E8, on small openings and on random ones. A4: same events, same result. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { inputsOf, newState, type Opening, type RunState, step } from '../src/index.ts';
import { type Agent, done, drive, failed, openingOf } from './drive.ts';

const phases = (state: RunState): Record<string, string> =>
  Object.fromEntries(state.opening.nodes.map((node, index) => [node.id, state.nodes[index]?.phase ?? '?']));
const nodes = (...ids: string[]): string =>
  `nodes:\n${ids.map((id) => `  - { id: ${id}, use: "agent:a" }`).join('\n')}\n`;
const edges = (...pairs: [string, string][]): string =>
  `edges:\n${pairs.map(([from, to]) => `  - { from: '${from}', to: ${to} }`).join('\n')}\n`;

describe('E2, E3: readiness and skipping', () => {
  const diamond =
    nodes('a', 'b', 'c', 'd') + edges(['a.out', 'b.in'], ['a.out', 'c.in'], ['b.out', 'd.in'], ['c.out', 'd.in']);

  test('a diamond runs each node once, sources first', () => {
    const run = drive(openingOf(diamond), () => done());
    expect(run.state.phase).toBe('succeeded');
    expect(run.starts).toEqual(['a#1', 'b#1', 'c#1', 'd#1']);
  });

  test('several values on one port arrive in the order of the edges in the file, not of completion', () => {
    const run = drive(openingOf(diamond), (node) => done({ out: node }));
    expect(inputsOf(run.state, 3)).toEqual({
      in: [expect.objectContaining({ value: 'b' }), expect.objectContaining({ value: 'c' })],
    });
  });

  test('a false predicate skips the edge, and a node without a delivered edge', () => {
    const opening = openingOf(nodes('a', 'b', 'c') + edges(['a.ok==true', 'b.in'], ['b.out', 'c.in']));
    const run = drive(opening, () => done({ ok: false }));
    expect(phases(run.state)).toEqual({ a: 'succeeded', b: 'skipped', c: 'skipped' });
    expect(run.state.phase).toBe('succeeded');
  });

  test('an output that was not given skips its edges', () => {
    const run = drive(openingOf(nodes('a', 'b') + edges(['a.other', 'b.in'])), () => done());
    expect(phases(run.state)).toEqual({ a: 'succeeded', b: 'skipped' });
  });

  test('an err edge takes the failure, and the run goes on', () => {
    const opening = openingOf(nodes('a', 'b', 'c') + edges(['a.err', 'b.in'], ['a.out', 'c.in']));
    const run = drive(opening, (node) => (node === 'a' ? failed() : done()));
    expect(phases(run.state)).toEqual({ a: 'failed', b: 'succeeded', c: 'skipped' });
    expect(run.state.phase).toBe('succeeded');
  });
});

describe('failing and ending', () => {
  test('a failed node fails the run at once and cancels what cannot run any more, with the reason', () => {
    const opening = openingOf(nodes('a', 'b', 'c') + edges(['b.out', 'c.in']));
    const run = drive(opening, (node) => (node === 'a' ? failed() : 'hold'));
    expect(phases(run.state)).toEqual({ a: 'failed', b: 'cancelled', c: 'cancelled' });
    expect(run.stops).toEqual(['b']);
    expect(run.facts.at(-1)).toMatchObject({
      kind: 'run.finished',
      meta: { state: 'failed', reason: 'node a failed: boom' },
    });
  });

  test('a failed node whose dependants are skipped ends each node exactly once', () => {
    const opening = openingOf(
      `${nodes('a', 'b', 'c')}${edges(['a.out', 'b.in'], ['b.out', 'c.in'])}success: { any_of: ["exists(c.out)"] }\n`,
    );
    const run = drive(opening, () => failed());
    const ended = run.facts.filter((fact) => fact.kind === 'node.finished').map((fact) => fact.meta['node']);
    expect(ended.sort()).toEqual(['a', 'b', 'c']);
    expect(run.state.phase).toBe('failed');
  });

  test('a condition that can still be met without it keeps the run going', () => {
    const opening = openingOf(`${nodes('a', 'b')}success: { any_of: ["exists(a.out)", "b.ok == true"] }\n`);
    const run = drive(opening, (node) => (node === 'a' ? failed() : done({ ok: true })));
    expect(run.state.phase).toBe('succeeded');
  });

  test('E6: cancelling ends every node once and the run last', () => {
    const run = drive(openingOf(nodes('a', 'b')), () => 'hold');
    run.send({ type: 'cancel', by: 'me', reason: 'enough' });
    expect(phases(run.state)).toEqual({ a: 'cancelled', b: 'cancelled' });
    expect(run.facts.filter((fact) => fact.kind === 'run.finished')).toHaveLength(1);
    expect(run.facts.at(-1)?.meta).toMatchObject({ state: 'cancelled', reason: 'enough' });
  });

  test('E5: retries only what is retryable, as often as allowed, with a delay from the seed', () => {
    const opening = openingOf(
      'nodes:\n  - { id: a, use: "agent:a", retry: { max_attempts: 3, backoff_ms: 100, multiplier: 2, jitter: 0.2 } }\n',
    );
    const run = drive(opening, (_, attempt) => (attempt < 3 ? failed(true) : done()));
    expect(run.starts).toEqual(['a#1', 'a#2', 'a#3']);
    expect(run.timers[0]).toBeGreaterThanOrEqual(80);
    expect(run.timers[0]).toBeLessThanOrEqual(120);
    expect(run.timers[1]).toBeGreaterThanOrEqual(160);
    expect(drive(opening, (_, attempt) => (attempt < 3 ? failed(true) : done())).timers).toEqual(run.timers);
    expect(drive(opening, () => failed(false)).starts).toEqual(['a#1']);
  });
});

describe('waiting and pausing', () => {
  test('a suspended node waits, the run waits, and the same attempt goes on after the decision', () => {
    const run = drive(openingOf(nodes('a')), (_, __, state) =>
      state.nodes[0]?.attempt === 1 && run1.first ? 'hold' : done(),
    );
    expect(run.state.phase).toBe('running');
    run.send({ type: 'suspended', node: 'a', attempt: 1, for: 'approval', action: 'act_1' });
    expect(run.state.phase).toBe('waiting');
    run1.first = false;
    run.send({ type: 'decided', node: 'a' });
    expect(run.starts).toEqual(['a#1', 'a#1']);
    expect(run.state.phase).toBe('succeeded');
    expect(run.facts.map((fact) => fact.kind)).toContain('run.resumed');
  });
  const run1 = { first: true };

  test('pause takes back what has not started, step lets one node through, resume the rest', () => {
    const run = drive(openingOf(nodes('a', 'b', 'c')), (node) => (node === 'a' ? 'hold' : done()), 1);
    run.send({ type: 'pause', by: 'me' });
    run.send({
      type: 'outcome',
      node: 'a',
      attempt: 1,
      outcome: done(),
      usage: { duration_ms: 1, fuel: 0, memory_bytes: 0, tokens: 0, usd_nano: 0 },
    });
    expect(run.starts).toEqual(['a#1']);
    run.send({ type: 'step', by: 'me' });
    expect(run.starts).toEqual(['a#1', 'b#1']);
    run.send({ type: 'resume', by: 'me' });
    expect(run.state.phase).toBe('succeeded');
  });

  test('recovery starts what ran again with the same attempt, and nothing that had succeeded', () => {
    const opening = openingOf(nodes('a', 'b') + edges(['a.out', 'b.in']));
    const first = drive(opening, (node) => (node === 'b' ? 'hold' : done()));
    const state = newState(opening, new Uint8Array(32), 8);
    for (const fact of first.facts) step(state, fact);
    const effects = step(state, { type: 'fact', kind: 'run.recovered', tsMs: 5000, meta: {} });
    expect(effects).toEqual([{ type: 'start', node: 'b', index: 1, attempt: 1 }]);
  });
});

/** A random DAG with predicates, failures and retries. */
const randomOpening = fc.integer({ min: 1, max: 14 }).chain((count) =>
  fc.record({
    count: fc.constant(count),
    pairs: fc.array(
      fc.record({ a: fc.nat(count - 1), b: fc.nat(count - 1), port: fc.constantFrom('out', 'ok', 'err', 'none') }),
      { maxLength: 30 },
    ),
    fates: fc.array(fc.constantFrom('ok', 'fail', 'flaky', 'no'), { minLength: count, maxLength: count }),
    parallel: fc.integer({ min: 1, max: 4 }),
  }),
);

function dagOf(
  count: number,
  pairs: readonly { readonly a: number; readonly b: number; readonly port: string }[],
): Opening {
  return {
    ...openingOf(nodes('a')),
    nodes: Array.from({ length: count }, (_, i) => ({
      id: `n${i}`,
      use: { kind: 'agent' as const, name: 'a' },
      with: {},
      tags: [],
      retry: { max_attempts: 2, backoff_ms: 1, max_ms: 5, multiplier: 1, jitter: 0 },
    })),
    edges: pairs
      .filter(({ a, b }) => a < b)
      .map(({ a, b, port }) => ({
        from: { node: `n${a}`, port },
        ...(port === 'ok' ? { when: { op: '==' as const, value: true } } : {}),
        to: { node: `n${b}`, port: 'in' },
      })),
  };
}

function fatesAgent(fates: readonly string[]): Agent {
  return (node, attempt) => {
    const fate = fates[Number(node.slice(1))];
    if (fate === 'fail' || (fate === 'flaky' && attempt === 1)) return failed(fate === 'flaky');
    return done({ out: node, ok: fate !== 'no' });
  };
}

test('E8 (A4): a fork of a run that succeeded, at any of its nodes, ends as that run did', () => {
  fc.assert(
    fc.property(randomOpening, ({ count, pairs, fates, parallel }) => {
      const opening = dagOf(count, pairs);
      const run = drive(opening, fatesAgent(fates), parallel);
      if (run.state.phase !== 'succeeded') return;
      for (const { id } of opening.nodes) {
        const before = new Set([id]);
        for (const node of before)
          for (const { from, to } of opening.edges) if (to.node === node) before.add(from.node);
        before.delete(id);
        const taken = run.facts.filter(
          ({ kind, meta }) => kind === 'node.finished' && before.has(String(meta['node'])),
        );
        const fork = drive(opening, fatesAgent(fates), parallel, taken);
        expect([fork.state.phase, phases(fork.state)]).toEqual(['succeeded', phases(run.state)]);
        expect(fork.starts.filter((start) => before.has(start.split('#')[0] ?? ''))).toEqual([]);
        expect(fork.facts.filter(({ kind }) => kind === 'run.finished')).toHaveLength(1);
      }
    }),
  );
});

test('E1, E4, E6 (A4): on random openings the fold of the facts is the state, and every run ends once', () => {
  fc.assert(
    fc.property(randomOpening, ({ count, pairs, fates, parallel }) => {
      const opening = dagOf(count, pairs);
      const run = drive(opening, fatesAgent(fates), parallel);
      expect(run.facts.filter((fact) => fact.kind === 'run.finished')).toHaveLength(1);
      expect(run.facts.at(-1)?.kind).toBe('run.finished');
      expect(run.parallelMax).toBeLessThanOrEqual(parallel);
      const ended = run.facts.filter((fact) => fact.kind === 'node.finished').map((fact) => fact.meta['node']);
      expect(new Set(ended).size).toBe(ended.length);
      expect(ended.length).toBe(count);
      const again = newState(opening, new Uint8Array(32), parallel);
      for (const fact of run.facts) step(again, fact);
      const view = (state: RunState): unknown => ({
        nodes: state.nodes.map((node) => ({ ...node, enqueued: false })),
        edges: state.edges,
        phase: state.phase,
        seq: state.seq,
        activeMs: state.activeMs,
      });
      expect(view(again)).toEqual(view(run.state));
    }),
  );
});

test('E4: a fan-out of 200 nodes keeps to max_parallel, uses all of it, and goes by position in the file', () => {
  const width = 200;
  const ids = Array.from({ length: width }, (_, i) => `n${i}`);
  const fanOut: Opening = {
    ...openingOf(nodes('a')),
    policy: { max_parallel: 7 },
    nodes: ['a', ...ids].map((id) => ({ id, use: { kind: 'agent' as const, name: 'a' }, with: {}, tags: [] })),
    edges: ids.map((id) => ({ from: { node: 'a', port: 'out' }, to: { node: id, port: 'in' } })),
  };
  const run = drive(fanOut, () => done());
  expect(run.parallelMax).toBe(7);
  expect(run.starts).toEqual(['a', ...ids].map((id) => `${id}#1`));
  expect(run.state.phase).toBe('succeeded');
});

test('E7: ten thousand nodes in a chain run through', () => {
  const count = 10_000;
  const opening: Opening = {
    ...openingOf(nodes('a')),
    nodes: Array.from({ length: count }, (_, i) => ({
      id: `n${i}`,
      use: { kind: 'agent' as const, name: 'a' },
      with: {},
      tags: [],
    })),
    edges: Array.from({ length: count - 1 }, (_, i) => ({
      from: { node: `n${i}`, port: 'out' },
      to: { node: `n${i + 1}`, port: 'in' },
    })),
  };
  expect(drive(opening, () => done()).state.phase).toBe('succeeded');
});
