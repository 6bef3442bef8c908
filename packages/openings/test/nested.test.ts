import { digestText } from '@runloop/core';
import { describe, expect, test } from 'vitest';
import {
  type AgentInterface,
  type Diagnostics,
  type Nested,
  type Opening,
  parseOpening,
  planOf,
  validateOpening,
} from '../src/index.ts';
import { done, drive, failed } from './drive.ts';

const agents = new Map<string, AgentInterface>(
  [
    { name: 'a', in: { in: ['*'], more: ['*'] }, out: { out: ['text'], ok: ['bool'] } },
    { name: 'number', in: { in: ['number'] }, out: { n: ['number'] } },
    { name: 'sender', in: { in: ['*'] }, out: { out: ['*'] }, flow: { brings: [], sinks: ['mail'] } },
    {
      name: 'reader',
      in: {},
      out: { out: ['*'] },
      flow: {
        brings: [
          { what: 'web', untrusted: true },
          { what: 'files', private: true },
        ],
        sinks: [],
      },
    },
  ].map((agent) => [agent.name, agent]),
);

type Texts = { readonly [name: string]: string };

function resolve(texts: Texts, outer: string, params = {}): { opening: Opening | undefined; diagnostics: Diagnostics } {
  const full = (name: string, text: string): string =>
    text.startsWith('version') ? text : `version: 0\nname: ${name}\n${text}`;
  const nested: Nested = new Map(
    Object.entries(texts).map(([name, text]) => [
      name,
      { parsed: parseOpening(`${name}.yaml`, full(name, text)), digest: digestText(full(name, text)) },
    ]),
  );
  const parsed = parseOpening('outer.yaml', full('outer', outer));
  const opening = validateOpening(parsed, agents, params, nested);
  return { opening, diagnostics: parsed.diagnostics };
}

function flattened(texts: Texts, outer: string, params = {}): Opening {
  const { opening, diagnostics } = resolve(texts, outer, params);
  if (opening === undefined) throw new Error(JSON.stringify(diagnostics.list, undefined, 1));
  return opening;
}

const shown = ({ nodes, edges }: Opening): readonly string[] => [
  ...nodes.map(({ id }) => id),
  ...edges.map(({ from, to }) => `${from.node}.${from.port} > ${to.node}.${to.port}`),
];

const two = 'nodes: [{ id: x, use: agent:a }, { id: y, use: agent:a }]\n';
const inner: Texts = {
  pair: two,
  line: `${two}edges: [{ from: x.out, to: y.in }]\n`,
  deeper: 'nodes: [{ id: p, use: opening:line }, { id: z, use: agent:a }]\nedges: [{ from: p.out, to: z.in }]\n',
  greets:
    'params: { who: world, n: 1 }\nnodes: [{ id: x, use: agent:a, with: { name: "hello {{params.who}}", n: "{{params.n}}" } }]\n',
};
const around = (use: string, edges: string): string =>
  `nodes: [{ id: first, use: agent:a }, { id: g, use: "opening:${use}" }, { id: last, use: agent:a }]\nedges: [${edges}]\n`;

describe('a nested opening', () => {
  test.each<[string, string, readonly string[]]>([
    [
      'is entered at each of its first nodes and left at each of its last',
      around('pair', '{ from: first.out, to: g.in }, { from: g.out, to: last.in }'),
      [
        'first',
        'g/x',
        'g/y',
        'last',
        'first.out > g/x.in',
        'first.out > g/y.in',
        'g/x.out > last.in',
        'g/y.out > last.in',
      ],
    ],
    [
      'with edges of its own',
      around('line', '{ from: first.out, to: g.in }, { from: g.out, to: last.in }'),
      ['first', 'g/x', 'g/y', 'last', 'g/x.out > g/y.in', 'first.out > g/x.in', 'g/y.out > last.in'],
    ],
    [
      'is reached by the names of its nodes',
      around(
        'pair',
        '{ from: first.out, to: g/y.more }, { from: "g/x.ok == true", to: last.in }, { from: g/x.err, to: g/y.in }',
      ),
      ['first', 'g/x', 'g/y', 'last', 'first.out > g/y.more', 'g/x.ok > last.in', 'g/x.err > g/y.in'],
    ],
    [
      'holds others',
      around(
        'deeper',
        '{ from: first.out, to: g.in }, { from: g/p/x.out, to: last.in }, { from: g/p.out, to: last.more }',
      ),
      [
        'first',
        'g/p/x',
        'g/p/y',
        'g/z',
        'last',
        'g/p/x.out > g/p/y.in',
        'g/p/y.out > g/z.in',
        'first.out > g/p/x.in',
        'g/p/x.out > last.in',
        'g/p/y.out > last.more',
      ],
    ],
  ])('%s', (_, outer, expected) => {
    expect(shown(flattened(inner, outer))).toEqual(expected);
  });

  test('takes its parameters from with, in their own type', () => {
    const opening = flattened(
      inner,
      'params: { name: john, k: 7 }\nnodes: [{ id: a, use: opening:greets, with: { who: "{{params.name}}", n: "{{params.k}}" }, tags: [t] }, { id: b, use: opening:greets }]\n',
      { name: 'ann' },
    );
    expect(opening.nodes.map((node) => [node.id, node.with, node.tags])).toEqual([
      ['a/x', { name: 'hello ann', n: 7 }, ['t']],
      ['b/x', { name: 'hello world', n: 1 }, []],
    ]);
  });

  test('keeps its limits, the narrower of two, and its conditions by the names of its nodes', () => {
    const limited = `policy: { timeout_ms: 50, budget_tokens: 100, budget_usd: 0.5 }\n${two}success: { all_of: ["x.ok == true"] }\nartifacts: { save: [y.out] }\n`;
    const opening = flattened(
      { limited, mid: 'nodes: [{ id: m, use: opening:limited }]\n' },
      'nodes: [{ id: g, use: opening:mid, timeout_ms: 70, budget_tokens: 10 }]\n',
    );
    expect(opening.groups).toMatchObject([
      { id: 'g', opening: 'mid', nodes: 2, timeout_ms: 70, budget_tokens: 10 },
      {
        id: 'g/m',
        opening: 'limited',
        nodes: 2,
        timeout_ms: 50,
        budget_tokens: 100,
        budget_usd: 0.5,
        success: { mode: 'all_of', conditions: [{ port: { node: 'g/m/x', port: 'ok' } }] },
      },
    ]);
    expect(opening.artifacts.save).toEqual([{ node: 'g/m/y', port: 'out' }]);
    expect(planOf(opening, agents).groups).toEqual(opening.groups);
  });
});

const chain = Object.fromEntries(
  Array.from({ length: 10 }, (_, i) => [`c${i}`, i === 9 ? two : `nodes: [{ id: n, use: "opening:c${i + 1}" }]\n`]),
);
const wide = Object.fromEntries(
  Array.from({ length: 6 }, (_, i) => [
    `w${i}`,
    `nodes: [${Array.from({ length: 20 }, (_, n) => `{ id: n${n}, use: "${i === 5 ? 'agent:a' : `opening:w${i + 1}`}" }`).join(', ')}]\n`,
  ]),
);

describe('refused is', () => {
  const use = (what: string, more = ''): string => `nodes: [{ id: g, use: opening:${what}${more} }]\n`;
  test.each<[string, Texts, string, string, string]>([
    ['one that is not there', {}, use('nope'), 'outer.yaml:3:23', 'there is no opening "nope"'],
    ['itself', { me: use('me') }, use('me'), 'me.yaml:3:23', 'in itself: me → me'],
    ['a circle', { p: use('q'), q: use('p') }, use('p'), 'q.yaml:3:23', 'in itself: p → q → p'],
    ['one too deep', chain, use('c0'), 'c7.yaml:3:23', 'more than 8 deep'],
    ['too many nodes in all', wide, use('w0'), 'w5.yaml:3:24', 'more than 20000 nodes'],
    [
      'too many edges in all',
      { p: `nodes: [${Array.from({ length: 500 }, (_, n) => `{ id: n${n}, use: agent:a }`).join(', ')}]\n` },
      'nodes: [{ id: g, use: opening:p }, { id: h, use: opening:p }]\nedges: [{ from: g.out, to: h.in }]\n',
      'outer.yaml:4:17',
      'more than 200000 edges',
    ],
    [
      'an unknown parameter',
      inner,
      use('greets', ', with: { whom: x }'),
      'outer.yaml:3:45',
      'opening "greets" has no parameter "whom"',
    ],
    [
      'a placeholder for nothing',
      inner,
      use('greets', ', with: { who: "{{params.x}}" }'),
      'outer.yaml:3:45',
      'no parameter "x"',
    ],
    ['a retry', inner, use('pair', ', retry: { max_attempts: 2 }'), 'outer.yaml:3:44', '"retry" is said of agents'],
    ['a narrowing', inner, use('pair', ', caps: {}'), 'outer.yaml:3:43', '"caps" is said of agents'],
    ['a confirmation', inner, use('pair', ', require_human_confirm: false'), 'outer.yaml:3:60', 'is said of agents'],
    [
      'its parallelism',
      { p: `policy: { max_parallel: 1 }\n${two}` },
      use('p'),
      'outer.yaml:3:23',
      'max_parallel, which is not supported',
    ],
    ['mistakes in it', { p: 'nodes: [{ id: x, use: agent:zz }]\n' }, use('p'), 'p.yaml:3:23', 'no agent "zz"'],
    ['a form that is wrong', { p: 'nodes: []\n' }, use('p'), 'p.yaml:3:8', 'at least one node'],
    [
      'its err',
      inner,
      around('pair', '{ from: g.err, to: last.in }'),
      'outer.yaml:4:17',
      'gives "out" alone, not "err"',
    ],
    [
      'another port of it',
      inner,
      around('pair', '{ from: first.out, to: g.more }'),
      'outer.yaml:4:32',
      'takes "in" alone',
    ],
    [
      'a first node without in',
      { p: 'nodes: [{ id: r, use: agent:reader }]\n' },
      around('p', '{ from: first.out, to: g.in }'),
      'outer.yaml:4:32',
      'node "g/r": agent "reader" has no input port "in"',
    ],
    [
      'a first node of another type',
      { p: 'nodes: [{ id: r, use: agent:number }]\n' },
      around('p', '{ from: first.out, to: g.in }'),
      'outer.yaml:4:32',
      'g/r.in takes number, first.out gives text',
    ],
    [
      'a last node without out',
      { p: 'nodes: [{ id: r, use: agent:number }]\n' },
      around('p', '{ from: g.out, to: last.in }'),
      'outer.yaml:4:17',
      'agent "number" has no output port "out"',
    ],
    [
      'a node that is not in it',
      inner,
      around('pair', '{ from: g/z.out, to: last.in }'),
      'outer.yaml:4:17',
      'there is no node "g/z"',
    ],
    [
      'a cycle through it',
      inner,
      around('line', '{ from: g/y.out, to: last.in }, { from: last.out, to: g.in }'),
      'outer.yaml:4:17',
      'cycle: ',
    ],
    [
      'a condition on several',
      inner,
      `${use('pair')}success: { all_of: ["exists(g.out)"] }\n`,
      'outer.yaml:4:21',
      'given by several nodes: g/x.out, g/y.out',
    ],
    [
      'a door that it opens and the outer one keeps shut',
      { p: `policy: { confirm_external: false }\n${two}` },
      `policy: { confirm_external: true }\n${use('p')}`,
      'outer.yaml:4:23',
      'turns confirmations off',
    ],
    [
      'a way out for what it brings',
      {
        p: 'policy: { confirm_external: false }\nnodes: [{ id: s, use: agent:sender }]\n',
        q: 'nodes: [{ id: r, use: agent:reader }]\n',
      },
      'nodes: [{ id: q, use: opening:q }, { id: p, use: opening:p }]\nedges: [{ from: q.out, to: p.in }]\n',
      'p.yaml:4:23',
      'node "p/s" can send private data',
    ],
  ])('%s', (_, texts, outer, at, says) => {
    const { opening, diagnostics } = resolve(texts, outer);
    const found = diagnostics.list.map((item) => `${item.file}:${item.line}:${item.column} ${item.message}`);
    expect(opening).toBeUndefined();
    expect(found.find((line) => line.includes(says))?.split(' ')[0], found.join('\n')).toBe(at);
  });

  test('what a reason was given for inside is no mistake, and only there', () => {
    const p = 'policy: { confirm_external: false, allow_flow: "meant" }\nnodes: [{ id: s, use: agent:sender }]\n';
    const outer =
      'nodes: [{ id: r, use: agent:reader }, { id: p, use: opening:p }]\nedges: [{ from: r.out, to: p.in }]\n';
    expect(resolve({ p }, outer).opening).toBeDefined();
    expect(resolve({ p: p.replace(', allow_flow: "meant"', '') }, outer).opening).toBeUndefined();
  });
});

describe('a run with a nested opening', () => {
  const judged = `nodes: [{ id: x, use: agent:a }, { id: y, use: agent:a }]\nsuccess: { all_of: ["x.ok == true"] }\n`;
  const outer = around('judged', '{ from: "first.ok == true", to: g.in }, { from: g.out, to: last.in }').replace(
    ']\nedges',
    ', { id: other, use: agent:a }]\nedges',
  );
  test.each<[string, boolean, boolean, string, string]>([
    ['succeeds when its success holds', true, true, 'succeeded', ''],
    ['fails when its success does not', true, false, 'failed', 'success condition was not met'],
    ['does not ask for the success of one that was skipped', false, false, 'succeeded', ''],
  ])('%s', (_, entered, ok, state, reason) => {
    const { facts } = drive(flattened({ judged }, outer), (node) =>
      done(node === 'first' ? { out: 'x', ok: entered } : { out: 'x', ok }),
    );
    expect(facts.at(-1)).toMatchObject({ kind: 'run.finished', meta: { state } });
    expect(String(facts.at(-1)?.meta['reason'] ?? '')).toContain(reason);
  });

  test('goes on after a failure in it that an edge takes', () => {
    const opening = flattened({ judged: two }, around('judged', '{ from: g/x.err, to: last.in }'));
    const { state } = drive(opening, (node) => (node === 'g/x' ? failed() : done()));
    expect([state.phase, state.groups.get('g')]).toMatchObject(['succeeded', { left: 0 }]);
  });

  test('ends when the time of the nested one is over, and says whose it was', () => {
    const run = drive(flattened({ judged }, around('judged', '')), () => 'hold');
    expect(run.state.groups.get('g')?.startedMs).toBeGreaterThanOrEqual(0);
    run.send({ type: 'deadline', group: 'g' });
    expect(run.facts.at(-1)?.meta).toMatchObject({
      state: 'failed',
      reason: 'the nested opening "g" reached its time limit (policy.timeout_ms)',
    });
  });
});
