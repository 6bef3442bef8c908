/** The system helper through the SDK's harness. */
import { expect, test } from 'vitest';
import { type JsonObject, type Responder, refuse, runAgent } from '@runloop/agent';
import helper from '../src/agent.ts';

const ran =
  (stdout: string, exit_code = 0): Responder =>
  () => ({ exit_code, stdout, stderr: 'bad', truncated: false });
const said: Responder = () => ({ text: 'fine' });
const none: Responder = () => refuse('ProviderUnavailable', 'no provider', true);

test.each<[string, JsonObject, { readonly [operation: string]: Responder }, object]>([
  ['a command', { command: '/usr/bin/uptime' }, { 'exec.run': ran('up') }, { text: 'up', source: 'command' }],
  ['a prompt', { prompt: 'how?' }, { 'model.complete': said }, { text: 'fine', source: 'model' }],
  [
    'both',
    { prompt: 'how?', command: '/x' },
    { 'exec.run': ran('up'), 'model.complete': said },
    { text: 'fine', source: 'model' },
  ],
  [
    'both, no model',
    { prompt: 'how?', command: '/x' },
    { 'exec.run': ran('up'), 'model.complete': none },
    { text: 'up', source: 'command' },
  ],
])('%s', (_what, given, host, value) => {
  expect(runAgent(helper, { with: given, host }).outcome).toEqual({
    ok: true,
    answer: { out: [{ type: 'toolresult.generic.v1', value }] },
  });
});

test.each<[string, JsonObject, { readonly [operation: string]: Responder }, RegExp]>([
  ['nothing asked', {}, {}, /give with.prompt/],
  ['a failed command', { command: '/x' }, { 'exec.run': ran('', 2) }, /ended with 2: bad/],
  ['no model', { prompt: 'how?' }, { 'model.complete': none }, /ProviderUnavailable/],
  ['no grant', { command: '/x' }, {}, /CapabilityDenied/],
])('%s fails with its reason', (_what, given, host, reason) => {
  expect(runAgent(helper, { with: given, host }).outcome).toMatchObject({
    ok: false,
    reason: expect.stringMatching(reason),
  });
});
