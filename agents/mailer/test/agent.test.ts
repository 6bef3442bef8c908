/** The mailer through the SDK's harness: sent, dry run, denied, not reviewed. */
import { expect, test } from 'vitest';
import { type JsonObject, type Responder, refuse, runAgent } from '@runloop/agent';
import mailer from '../src/agent.ts';

const draft = { to: ['a@b.c'], subject: 'Q4', body: 'Hi' };

function send(
  mail: Responder,
  review: boolean | undefined = true,
  given: JsonObject = {},
): ReturnType<typeof runAgent> {
  return runAgent(mailer, {
    with: given,
    inputs: { draft: [draft], ...(review === undefined ? {} : { review: [review] }) },
    host: { 'mail.send': mail },
  });
}
const gives = (value: object): object => ({
  ok: true,
  answer: { out: [{ type: 'toolresult.mail.result.v1', value }] },
});
const operations = (run: ReturnType<typeof runAgent>): readonly string[] => run.calls.map((call) => call.operation);

test('what was sent says so', () => {
  const run = send(() => ({ sent: true, message_id: 'm1' }));
  expect(run.outcome).toEqual(gives({ sent: true, dry_run: false, to: ['a@b.c'], subject: 'Q4', message_id: 'm1' }));
  expect(operations(run)).toEqual(['mail.send']);
});

test('a dry run is never called sent', () => {
  const run = send(() => ({ sent: false, dry_run: true }));
  expect(run.outcome).toEqual(gives({ sent: false, dry_run: true, to: ['a@b.c'], subject: 'Q4' }));
  expect(operations(run)).toEqual(['mail.send']);
});

test.each([false, undefined])('a review of %s sends nothing', (review) => {
  const run =
    review === undefined ? runAgent(mailer, { inputs: { draft: [draft] } }) : send(() => ({ sent: true }), review);
  expect(run.outcome).toEqual(gives({ sent: false, dry_run: false, reason: 'the review did not pass' }));
  expect(operations(run)).toEqual([]);
});

test('a refusal is a failure with its reason', () => {
  expect(send(() => refuse('ApprovalDenied', 'mail.send was not approved')).outcome).toEqual({
    ok: false,
    retryable: false,
    reason: 'ApprovalDenied: mail.send was not approved',
  });
});
