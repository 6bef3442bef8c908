/** The agents of this repository, built into components and run in cells. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type JsonObject, type JsonValue, unwrap } from '@runloop/core';
import { type AttemptOutcome, type Bundle, buildAgent } from '../src/index.ts';
import { type Bench, deps, sdkDir, tableHost, workbench } from './fixture.ts';

const agents = ['contact_resolver', 'context_gatherer', 'writer', 'critic', 'mailer'] as const;
let bench: Bench;
const bundles = new Map<string, Bundle>();

beforeAll(async () => {
  bench = await workbench(0);
  for (const name of agents) {
    const options = { outDir: join(bench.dir, 'bundles', name), signWith: bench.key, sdkDir };
    bundles.set(
      name,
      unwrap(await buildAgent(deps, join(import.meta.dirname, '../../../agents', name), options), `${name} builds`),
    );
  }
});
afterAll(() => bench[Symbol.asyncDispose]());

const host = tableHost({
  'kb.query': () => ({
    type: 'value',
    value: {
      rows: [{ contact: 'contact:john', name: 'John', email: 'john@acme.com', confidence: 0.9, trust: 'trusted' }],
    },
  }),
  'kb.search': () => ({
    type: 'value',
    value: { hits: [{ excerpt: 'Q4 starts soon', source_events: [3], entity: 'note:1' }] },
  }),
  'kb.propose': () => ({ type: 'value', value: { event_id: 9 } }),
  'model.complete': () => ({ type: 'error', code: 'ProviderUnavailable', message: 'no provider', retryable: true }),
  'mail.send': () => ({ type: 'value', value: { sent: false, dry_run: true } }),
});

async function perform(
  name: (typeof agents)[number],
  given: JsonObject,
  inputs: { readonly [port: string]: readonly JsonValue[] },
): Promise<(port: string) => JsonValue> {
  const bundle = bundles.get(name);
  if (bundle === undefined) throw new Error(`${name} was not built`);
  const identity = {
    trace_id: 'ab'.repeat(16),
    run_id: 'run_1',
    node: name,
    attempt: 1,
    seed: '00',
    accepted_ms: 0,
    deadline_ms: 20_000,
  };
  const outcome: AttemptOutcome = await bench.cells.run(
    { bundle, run: identity, request: { with: given, inputs } },
    host,
    new AbortController().signal,
  );
  expect(outcome).toMatchObject({ type: 'succeeded' });
  return (port) => (outcome.type === 'succeeded' ? (outcome.outputs[port]?.[0]?.value ?? null) : null);
}

test('compose_email by hand: resolve, gather, draft, review, dry run', async () => {
  const contacts = (await perform('contact_resolver', { query: 'john' }, {}))('out');
  const context = (await perform('context_gatherer', { topic: 'Q4 plan' }, {}))('out');
  const draft = (await perform('writer', { topic: 'Q4 plan' }, { recipients: [contacts], context: [context] }))('out');
  expect(draft).toMatchObject({
    to: ['john@acme.com'],
    source: 'template',
    body: expect.stringMatching(/Q4 starts soon/),
  });
  const review = await perform('critic', {}, { draft: [draft] });
  expect(review('ok')).toBe(true);
  const sent = await perform('mailer', {}, { draft: [draft], review: [review('ok')] });
  expect(sent('out')).toMatchObject({ sent: false, dry_run: true });
  expect(host.lines.join('\n')).toMatch(/Would send/);
});
