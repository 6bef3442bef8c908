/** The contact resolver through the SDK's harness. */
import { expect, test } from 'vitest';
import { type JsonValue, runAgent } from '@runloop/agent';
import resolver from '../src/agent.ts';

const john = { contact: 'contact:john', name: 'John Doe', email: 'john@acme.com', confidence: 0.9, trust: 'trusted' };

function resolve(query: JsonValue, rows: JsonValue): ReturnType<typeof runAgent> {
  return runAgent(resolver, {
    with: { query },
    host: { 'kb.query': () => ({ rows }), 'kb.propose': () => ({ event_id: 7 }) },
  });
}

test('a known name is found, with its confidence', () => {
  const { outcome, calls } = resolve('john', [{ ...john, contact: 'contact:johnny', name: 'Johnny B' }, john]);
  expect(outcome).toMatchObject({
    ok: true,
    answer: {
      out: [
        { type: 'toolresult.contacts.resolved.v1', value: { stub: false, contacts: [john, { confidence: 0.45 }] } },
      ],
    },
  });
  expect(calls.map((call) => call.operation)).toEqual(['kb.query']);
});

test.each([
  ['Jane', { contact: 'contact:jane', name: 'Jane', confidence: 0.1, trust: 'low' }],
  ['x@y.z', { contact: 'contact:x@y.z', name: 'x@y.z', email: 'x@y.z', confidence: 0.1, trust: 'low' }],
])('%s is unknown: a stub of low trust is proposed', (query, stub) => {
  const { outcome, calls } = resolve(query, []);
  expect(outcome).toMatchObject({ answer: { out: [{ value: { stub: true, contacts: [stub] } }] } });
  expect(calls[1]).toMatchObject({ operation: 'kb.propose', request: { kind: 'contact.upserted', payload: stub } });
});

test('no query is a failure that says so', () => {
  expect(runAgent(resolver).outcome).toEqual({
    ok: false,
    retryable: false,
    reason: 'there is no query: give with.query',
  });
});
