/** The probe through the SDK's harness: a refusal is an answer, what it does not know is a failure. */
import { expect, test } from 'vitest';
import { runAgent } from '@runloop/agent';
import probe from '../src/agent.ts';

test('says what came of each try', () => {
  const tries = [
    { op: 'kb.search', args: { text: 'x' } },
    { op: 'fs.read', args: { path: '/x' } },
    { try: 'say', args: { text: 'hello' } },
  ];
  const { outcome } = runAgent(probe, { with: { tries }, host: { 'kb.search': () => ({ hits: [] }) } });
  expect(outcome).toMatchObject({
    ok: true,
    answer: {
      out: [
        {
          value: [
            { op: 'kb.search', ok: true, value: { hits: [] } },
            { op: 'fs.read', ok: false, code: 'CapabilityDenied' },
            null,
          ],
        },
      ],
    },
  });
});

test('fails on a try that it does not know', () => {
  expect(runAgent(probe, { with: { tries: [{ try: 'fly' }] } }).outcome).toMatchObject({ ok: false });
});
