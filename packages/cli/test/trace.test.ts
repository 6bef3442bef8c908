/** A trace from a tape: crossings, tree, page and spans; whatever an agent says stays text. */
import { describe, expect, test } from 'vitest';
import { htmlOf } from '../src/trace/html.ts';
import { ladderOf } from '../src/trace/ladder.ts';
import { otlpOf } from '../src/trace/otlp.ts';
import type { Tape, TapeEvent } from '../src/trace/read-tape.ts';
import { timelineOf } from '../src/trace/timeline.ts';
import { treeOf } from '../src/trace/tree.ts';

const trace = 'ab'.repeat(16);
const evil = '<script src="http://x/">\u001b[2J\u202e\'&"';
const at = (node: string, more: object = {}): object => ({ node, attempt: 1, ...more });
const call = (index: number, op: string, cls: string, more: object = {}): object =>
  at('n', { index, call: `call${index}`, op, class: cls, args_hash: 'aa', args: { json: 'four' }, ...more });

const told: readonly (readonly [kind: string, meta: object])[] = [
  ['run.accepted', { name: evil, actor: 'operator', opening: { nodes: [{ id: 'n', use: { name: 'writer' } }] } }],
  ['node.ready', { node: 'n' }],
  ['node.started', at('n', { agent: 'writer' })],
  ['effect.result', call(0, 'kb.search', 'pure', { ok: true, value: { json: [] } })],
  ['effect.intent', call(1, 'model.complete', 'idempotent')],
  ['model.called', at('n', { provider: 'p', model: 'm', tokens_in: 3, tokens_out: 4, usd_nano: 5, cache: 'miss' })],
  ['effect.result', call(1, 'model.complete', 'idempotent', { ok: true, value: { blob: 'd1' } })],
  ['action.requested', at('n', { action: 'a', what: evil, args: {} })],
  ['action.decided', { action: 'a', decision: 'deny', by: 'ann' }],
  [
    'effect.result',
    call(2, 'mail.send', 'once', { ok: false, error: { code: 'ApprovalDenied', message: evil, retryable: false } }),
  ],
  [
    'node.finished',
    at('n', { state: 'failed', code: 'AgentFailed', reason: evil, outputs: { err: [{ digest: 'd2' }] } }),
  ],
  ['run.finished', { state: 'failed', reason: evil }],
];

function tapeOf(events: readonly (readonly [kind: string, meta: object])[]): Tape {
  return {
    events: events.map(
      ([kind, meta], i) =>
        ({
          id: i + 1,
          ts_ms: 1000 + i,
          trace_id: trace,
          run_id: 'run_1',
          kind,
          meta,
          message: '',
        }) as unknown as TapeEvent,
    ),
    bytes: new Map([
      ['d1', 77],
      ['d2', 9],
    ]),
  };
}

const tape = tapeOf(told);

test('the ladder has each crossing, to the outside and back, with its bytes', () => {
  const rows = ladderOf(tape).map(({ from, to, what, bytes }) => [from, to, what, bytes]);
  expect(rows[0]).toMatchObject(['operator', 'runloopd', `run ${evil}`, expect.any(Number)]);
  expect(rows.slice(1)).toEqual([
    ['runloopd', 'n', 'start writer', null],
    ['n', 'kb.search', 'ask', 6],
    ['kb.search', 'n', 'ok', 2],
    ['n', 'model.complete', 'ask (call 2)', 6],
    ['model', 'p:m', 'of n', null],
    ['p:m', 'model', '3 + 4 tokens', null],
    ['model.complete', 'n', 'ok', 77],
    ['n', 'operator', `may it ${evil}?`, 2],
    ['ann', 'runloopd', 'deny', null],
    ['mail.send', 'n', 'ApprovalDenied', null],
    ['n', 'runloopd', 'failed (AgentFailed)', 9],
    ['runloopd', 'client', 'failed', null],
  ]);
});

test('a call has its own time and cost, a node those of all its calls, the run those of all', () => {
  const line = timelineOf(tape);
  const calls = line.nodes[0]?.attempts[0]?.calls ?? [];
  expect(calls.map(({ op, began_ms, ended_ms, ok, cost }) => [op, began_ms, ended_ms, ok, cost])).toEqual([
    ['kb.search', null, 1003, true, { tokens: 0, usd_nano: 0 }],
    ['model.complete', 1004, 1006, true, { tokens: 7, usd_nano: 5 }],
    ['mail.send', null, 1009, false, { tokens: 0, usd_nano: 0 }],
  ]);
  expect([line.cost, line.nodes[0]?.cost]).toEqual(Array.from({ length: 2 }, () => ({ tokens: 7, usd_nano: 5 })));
});

// oxlint-disable-next-line no-control-regex -- control characters are what must not be there
const hidden = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/;

describe('what an agent says stays text', () => {
  test('on the page, which holds no script and names no address', () => {
    const html = htmlOf(timelineOf(tape));
    expect(html).not.toMatch(hidden);
    expect(html).not.toMatch(/<script|<img|<link|@import|url\(/i);
    expect(html).toContain('&lt;script src=&quot;http://x/&quot;&gt;\\u{1b}[2J');
    const bare = html.replace(/"[^"]*"/g, '""');
    expect(new Set(bare.match(/\b[a-z-]+(?==")/g))).toEqual(
      new Set(['lang', 'charset', 'http-equiv', 'content', 'class', 'title', 'style']),
    );
  });

  test('in the tree', () => {
    expect(treeOf(timelineOf(tape)).filter(({ text }) => hidden.test(text))).toEqual([]);
  });
});

test('spans belong to one another, and their ids come from the trace id', () => {
  type Span = { traceId: string; spanId: string; parentSpanId?: string; name: string; status: { code: number } };
  const read = (): Span[] =>
    (otlpOf(timelineOf(tape), '0') as unknown as { resourceSpans: { scopeSpans: { spans: Span[] }[] }[] })
      .resourceSpans[0]?.scopeSpans[0]?.spans ?? [];
  const spans = read();
  expect(spans.map(({ name, status }) => [name, status.code])).toEqual([
    [evil, 2],
    ['n', 2],
    ['kb.search', 1],
    ['model.complete', 1],
    ['mail.send', 2],
  ]);
  const [run, node, ...calls] = spans;
  expect(spans.every((span) => span.traceId === trace && /^[0-9a-f]{16}$/.test(span.spanId))).toBe(true);
  expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(spans.length);
  expect([node?.parentSpanId, ...calls.map((span) => span.parentSpanId)]).toEqual([
    run?.spanId,
    ...calls.map(() => node?.spanId),
  ]);
  expect(read()).toEqual(spans);
});

test('a run of 10 000 calls has 10 000 rows', () => {
  const many = Array.from({ length: 10_000 }, (_, i) => [
    ['effect.intent', call(i, 'http.fetch', 'idempotent')] as const,
    ['effect.result', call(i, 'http.fetch', 'idempotent', { ok: true, value: { json: 1 } })] as const,
  ]).flat();
  const long = tapeOf([...told.slice(0, 3), ...many]);
  expect(htmlOf(timelineOf(long)).split('class="row call"')).toHaveLength(10_001);
  expect(ladderOf(long)).toHaveLength(20_002);
});
