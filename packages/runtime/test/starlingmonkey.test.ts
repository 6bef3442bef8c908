/** Agents on StarlingMonkey: built and run for real, where the optional packages are installed. */
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { unwrap } from '@runloop/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AttemptOutcome, type Bundle, buildAgent } from '../src/index.ts';
import { type Bench, buildTestAgent, deps, tableHost, workbench } from './fixture.ts';

const isHere = existsSync(join(import.meta.dirname, '../node_modules/@bytecodealliance/componentize-js'));
if (!isHere) process.stderr.write('StarlingMonkey is not installed: its tests are skipped\n');

describe.skipIf(!isHere)('an agent on StarlingMonkey', () => {
  let bench: Bench;
  let bundle: Bundle;
  beforeAll(async () => {
    bench = await workbench();
    const body = `
if (request.with.what === 'loop') for (;;);
if (request.with.what === 'fail') throw new AgentFailure('as asked', { retryable: false });
if (request.with.what === 'call') return { out: [{ type: 'number', value: host.kb.search({ text: 'x', max: 1 }).hits.length }] };
console.log('it works');
const value = [new URL('https://x.example/?b=1').searchParams.get('b'), typeof ReadableStream, Math.random(), Date.now()];
return { out: [{ type: 'artifact.generic.v1', value }] };`;
    const { dir } = await buildTestAgent(bench, 'monkey', { body, caps: '[limits]\ncpu_ms = 1000\n' });
    const manifest = await readFile(join(dir, 'manifest.toml'), 'utf8');
    await writeFile(join(dir, 'manifest.toml'), manifest.replace('[ports]', 'backend = "starlingmonkey"\n[ports]'));
    bundle = unwrap(await buildAgent(deps, dir, { signWith: bench.key }), 'it builds');
  });
  afterAll(() => bench[Symbol.asyncDispose]());

  const host = tableHost({ 'kb.search': () => ({ type: 'value', value: { hits: [1, 2] } }) });
  const run = (what: string, seed = '00'): Promise<AttemptOutcome> => {
    const identity = {
      trace_id: 'ab'.repeat(16),
      run_id: 'run_1',
      node: 'n',
      attempt: 1,
      accepted_ms: 1_000,
      deadline_ms: 20_000,
    };
    const invocation = { bundle, run: { ...identity, seed }, request: { with: { what }, inputs: {} } };
    return bench.cells.run(invocation, host, new AbortController().signal);
  };
  test.each([
    ['call', { type: 'succeeded', outputs: { out: [{ value: 2 }] } }],
    ['fail', { type: 'failed', code: 'AgentFailed', reason: 'as asked', retryable: false }],
    ['loop', { type: 'failed', code: 'OutOfFuel' }],
  ])('%s', async (what, expected) => expect(await run(what)).toMatchObject(expected));

  test('has web APIs, the time of the run and numbers from its seed', async () => {
    const values: unknown[] = [];
    for (const seed of ['00', '00', '11']) {
      const outcome = await run('nothing', seed);
      values.push(outcome.type === 'succeeded' ? outcome.outputs['out']?.[0]?.value : outcome);
    }
    const [one, same, other] = values;
    expect(one).toEqual(['1', 'function', expect.any(Number), 1_000]);
    expect(same).toEqual(one);
    expect(other).not.toEqual(one);
    expect(host.lines).toContain('stdout: it works');
  });

  test('its bill of materials names its engine', async () => {
    const text = await readFile(join(bundle.dir, 'SBOM'), 'utf8');
    expect(text).toMatch(/pkg:npm\/%40bytecodealliance\/componentize-js@\d/);
    expect(text).not.toContain('qjs');
  });
});
