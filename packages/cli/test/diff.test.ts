/** Where two runs part: each kind of difference is named where it lies, and the first call that differs stands for the rest. */
import type { JsonObject, JsonValue } from '@runloop/core';
import { expect, test } from 'vitest';
import { differences } from '../src/trace/diff.ts';
import type { Tape, TapeEvent } from '../src/trace/read-tape.ts';

type Event = readonly [kind: string, meta: JsonObject];

const call = (index: number, more: JsonObject = {}): Event => [
  'effect.result',
  {
    node: 'n',
    attempt: 1,
    index,
    op: 'kb.search',
    args_hash: 'h',
    args: { json: 1 },
    ok: true,
    value: { json: 2 },
    ...more,
  },
];
const accepted = (more: JsonObject = {}): Event => [
  'run.accepted',
  {
    name: 'o',
    params: { topic: 'x' },
    agents: { writer: 'd1' },
    opening: { name: 'o', params: {}, nodes: [{ id: 'n', use: { name: 'writer' }, with: {} }], edges: [] },
    ...more,
  },
];
const started: Event = ['node.started', { node: 'n', attempt: 1 }];
const finished = (more: JsonObject = {}): Event => [
  'node.finished',
  { node: 'n', attempt: 1, state: 'succeeded', outputs: { out: [{ type: 'json', digest: 'b1' }] }, ...more },
];
const spent = (usd_nano: number): Event => ['model.called', { node: 'n', attempt: 1, usd_nano }];
const end: Event = ['run.finished', { state: 'succeeded' }];
const usual = [accepted(), started, call(0), call(1), finished(), end];

let now = 0;
const tapeOf = (events: readonly Event[]): Tape => ({
  events: events.map(
    ([kind, meta]) =>
      ({ id: 1, ts_ms: (now += 7), trace_id: 't', run_id: 'r', kind, meta, message: '' }) as unknown as TapeEvent,
  ),
  bytes: new Map(),
});
const spec = { id: 'n', use: { name: 'writer' }, with: { tone: 'dry' } };

test.each<[string, readonly Event[], readonly [string, JsonValue, JsonValue][]]>([
  ['the same at another time', usual, []],
  ['a parameter', [accepted({ params: { topic: 'y' } }), ...usual.slice(1)], [['params topic', 'x', 'y']]],
  ['an agent', [accepted({ agents: { writer: 'd2' } }), ...usual.slice(1)], [['agent writer', 'd1', 'd2']]],
  ['a model', [accepted({ model: 'm' }), ...usual.slice(1)], [['model override', null, 'm']]],
  [
    'what a node is given',
    [accepted({ opening: { name: 'o', params: {}, nodes: [spec], edges: [] } }), ...usual.slice(1)],
    [['node n', { use: { name: 'writer' }, with: {} }, { use: { name: 'writer' }, with: { tone: 'dry' } }]],
  ],
  [
    'the first call that differs, not what follows',
    [accepted(), started, call(0, { args_hash: 'g', args: { json: 9 } }), call(1, { op: 'kb.why' }), finished(), end],
    [['node n: call 1, kb.search with', 1, 9]],
  ],
  [
    'an answer',
    [...usual.slice(0, 3), call(1, { value: { json: 3 } }), finished(), end],
    [['node n: call 2, kb.search gave', 2, 3]],
  ],
  ['a call less', [accepted(), started, call(0), finished(), end], [['node n: call 2', 'kb.search', null]]],
  [
    'an output',
    [...usual.slice(0, 4), finished({ outputs: { out: [{ type: 'json', digest: 'b2' }] } }), end],
    [['node n: output out', 'b1', 'b2']],
  ],
  ['a cost', [...usual.slice(0, 4), spent(5), finished(), end], [['usd_nano', 0, 5]]],
  [
    'states',
    [...usual.slice(0, 4), finished({ state: 'failed' }), ['run.finished', { state: 'failed' }]],
    [
      ['node n: state', 'succeeded', 'failed'],
      ['state', 'succeeded', 'failed'],
    ],
  ],
])('%s', (_, other, expected) => {
  const found = differences(tapeOf(usual), tapeOf(other)).map(({ where, a, b }) => [
    where,
    'json' in a ? a.json : a.blob,
    'json' in b ? b.json : b.blob,
  ]);
  expect(found).toEqual(expected);
});
