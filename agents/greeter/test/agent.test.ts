/** The greeter through the SDK's harness. */
import { expect, test } from 'vitest';
import { runAgent } from '@runloop/agent';
import greeter from '../src/agent.ts';

test.each([
  [{}, 'Hello, world!'],
  [{ name: '' }, 'Hello, world!'],
  [{ name: 'Ada' }, 'Hello, Ada!'],
])('with %j it says %s', (given, text) => {
  const { outcome, calls } = runAgent(greeter, { with: given });
  expect(outcome).toEqual({ ok: true, answer: { out: [{ type: 'artifact.generic.v1', value: { text } }] } });
  expect(calls).toEqual([]);
});
