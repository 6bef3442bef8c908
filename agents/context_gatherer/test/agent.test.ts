/** The context gatherer through the SDK's harness. */
import { expect, test } from 'vitest';
import { type JsonValue, runAgent } from '@runloop/agent';
import gatherer from '../src/agent.ts';

function gather(hits: JsonValue): ReturnType<typeof runAgent>['outcome'] {
  return runAgent(gatherer, { with: { topic: 'Q4 plan' }, host: { 'kb.search': () => ({ hits }) } }).outcome;
}
const bundle = (bullets: readonly object[]): object => ({
  ok: true,
  answer: { out: [{ type: 'observation.context.bundle.v1', value: { topic: 'Q4 plan', bullets } }] },
});

test('each bullet cites its events', () => {
  const hit = { entity: 'note:1', kind: 'note', score: 2, excerpt: 'the  plan\nis late', source_events: [4, 9] };
  expect(gather([hit])).toEqual(bundle([{ text: 'the plan is late', cites: [4, 9], entity: 'note:1' }]));
});
test('what cites nothing is left out', () =>
  expect(gather([{ excerpt: 'hearsay', source_events: [] }])).toEqual(bundle([])));
test('nothing known is an empty bundle', () => expect(gather([])).toEqual(bundle([])));
test('no topic is a failure', () =>
  expect(runAgent(gatherer).outcome).toMatchObject({ ok: false, reason: expect.stringMatching(/topic/) }));
