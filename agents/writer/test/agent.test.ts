/** The writer through the SDK's harness, with a model, without one, and with one that answers nonsense. */
import { expect, test } from 'vitest';
import { type JsonObject, type JsonValue, type Responder, refuse, runAgent } from '@runloop/agent';
import writer, { wordsMax } from '../src/agent.ts';

const inputs = {
  recipients: [{ contacts: [{ name: 'John Doe', email: 'john@acme.com' }, { name: 'Johnny' }] }],
  context: [{ bullets: [{ text: 'Q4 starts in October', cites: [3] }] }],
};

function draft(model: Responder): JsonObject {
  const { outcome } = runAgent(writer, { with: { topic: 'Q4 plan' }, inputs, host: { 'model.complete': model } });
  if (!outcome.ok) throw new Error(outcome.reason);
  expect(outcome.answer['out']?.[0]?.type).toBe('artifact.draft.email.v1');
  return outcome.answer['out']?.[0]?.value as JsonObject;
}

test('a model writes it', () => {
  const said = JSON.stringify({ subject: 'Q4', body: 'Hi John, shall we talk?', rationale: 'short' });
  expect(draft(() => ({ text: `Here you go: ${said}` }))).toEqual({
    to: ['john@acme.com'],
    subject: 'Q4',
    body: 'Hi John, shall we talk?',
    rationale: 'short',
    source: 'model',
  });
});

test.each(['ProviderUnavailable', 'BudgetExceeded'])(
  'without a model (%s) the template writes it and says so',
  (code) => {
    const value = draft(() => refuse(code, 'none', true));
    expect(value).toMatchObject({ source: 'template', subject: 'Q4 plan', to: ['john@acme.com'] });
    expect(value['body']).toMatch(/^Hi John,[\s\S]*Q4 starts in October/);
  },
);

test.each<[string, JsonValue]>([
  ['plain text', { text: 'Dear John' }],
  ['broken JSON', { text: '{"body": ' }],
])('%s is taken as the body', (_what, answer) => {
  expect(draft(() => answer)).toMatchObject({ source: 'model', subject: 'Q4 plan' });
});

test('an empty answer is no draft: the template writes it', () =>
  expect(draft(() => ({ text: ' ' }))).toMatchObject({ source: 'template' }));

test(`never more than ${wordsMax} words`, () => {
  const { body } = draft(() => ({ text: 'word '.repeat(1000) }));
  expect(typeof body === 'string' ? body.split(/\s+/) : []).toHaveLength(wordsMax);
});

test('another failure is a failure', () => {
  const { outcome } = runAgent(writer, { inputs, host: { 'model.complete': () => refuse('ApprovalDenied', 'no') } });
  expect(outcome).toEqual({ ok: false, retryable: false, reason: 'ApprovalDenied: no' });
});
