/** The critic through the SDK's harness: one case a rule. */
import { expect, test } from 'vitest';
import { type JsonObject, runAgent } from '@runloop/agent';
import critic from '../src/agent.ts';

const good = { to: ['a@b.c'], subject: 'Q4', body: 'Hi, shall we talk?' };

test.each<[string, JsonObject, readonly string[]]>([
  ['a sound draft', good, []],
  ['nobody', { ...good, to: [] }, ['it is addressed to nobody']],
  ['no subject', { ...good, subject: ' ' }, ['the subject is empty']],
  ['a long subject', { ...good, subject: 'x'.repeat(121) }, ['the subject is longer than 120 characters']],
  ['a broken subject', { ...good, subject: 'a\nBcc: x' }, ['the subject has a line break']],
  ['no body', { ...good, body: '' }, ['the body is empty']],
  ['a long body', { ...good, body: 'w '.repeat(181) }, ['the body has 181 words, more than 180']],
  ['a placeholder', { ...good, body: 'Dear [Name]' }, ['a placeholder was left in']],
  ['a secret', { ...good, body: 'key AKIAABCDEFGHIJKLMNOP' }, ['the body holds what looks like a secret']],
])('%s', (_what, draft, notes) => {
  const { outcome } = runAgent(critic, { inputs: { draft: [draft] } });
  const ok = notes.length === 0;
  expect(outcome).toEqual({
    ok: true,
    answer: { out: [{ type: 'critique.review.v1', value: { ok, notes } }], ok: [{ type: 'bool', value: ok }] },
  });
});

test('no draft is a failure', () => expect(runAgent(critic).outcome).toMatchObject({ ok: false }));
