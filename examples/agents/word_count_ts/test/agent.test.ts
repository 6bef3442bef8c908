/** rlp agent test .  runs this in this process, with the host calls that it answers here. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runAgent } from '@runloop/agent';
import agent from '../src/agent.ts';

test('counts words', () => {
  const { outcome } = runAgent(agent, { with: { text: ' two words ' } });
  assert.deepEqual(outcome, {
    ok: true,
    answer: { out: [{ type: 'artifact.generic.v1', value: { note: 'two words', words: 2 } }] },
  });
});

test('says what is missing', () => {
  const { outcome } = runAgent(agent, { with: {} });
  assert.deepEqual(outcome, { ok: false, reason: 'give with.text', retryable: false });
});
