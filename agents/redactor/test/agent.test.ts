/** The redactor through the SDK's harness: one case for each kind of name, and what must stay. */
import { expect, test } from 'vitest';
import { type JsonValue, runAgent } from '@runloop/agent';
import redactor from '../src/agent.ts';

test.each<[string, JsonValue, JsonValue, number]>([
  ['a mail address', 'to john.doe@acme.com.', 'to [mail]', 1],
  ['a telephone number', 'call +49 170 1234567 or (030) 123-4567', 'call [phone] or [phone]', 2],
  ['an account', 'DE89 3704 0044 0532 0130 00', '[iban]', 1],
  ['a card', '4111 1111 1111 1111', '[card]', 1],
  ['an address of a machine', 'from 10.0.0.7 to', 'from [ip] to', 1],
  ['credentials', 'https://me:geheim@host/x', 'https://[credentials]@host/x', 1],
  ['a name that was given', 'Ask JOHN.', 'Ask [name].', 1],
  ['inside of lists and keys', { 'a@b.c': ['x', { deep: 'a@b.c' }] }, { '[mail]': ['x', { deep: '[mail]' }] }, 2],
  [
    'what is no name',
    { n: 7, t: 'Q4 plan, 2026', ok: true, none: null },
    { n: 7, t: 'Q4 plan, 2026', ok: true, none: null },
    0,
  ],
])('%s', (_what, given, value, removed) => {
  const { outcome } = runAgent(redactor, { with: { names: ['John'] }, inputs: { in: [given] } });
  expect(outcome).toEqual({ ok: true, answer: { out: [{ type: 'artifact.redacted.v1', value: { value, removed } }] } });
});
