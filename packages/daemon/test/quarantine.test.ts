/** Agents whose sandbox fails again and again: held back, longer each time, over a restart, until somebody lets them go. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { unwrap } from '@runloop/core';
import { memoryLog, simulatedClock } from '@runloop/testkit';
import type { AttemptFailureCode, AttemptOutcome } from '@runloop/runtime';
import { afterAll, expect, test } from 'vitest';
import {
  faultsInARow,
  Quarantine,
  quarantineMax,
  quarantineMsFirst,
  quarantineMsMax,
} from '../src/agents/quarantine.ts';
import { metaOf } from '../src/runs/tape.ts';
import { bundle, Ends, of, Place } from './runs-fixture.ts';

const dir = mkdtempSync(join(tmpdir(), 'rl-q-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const path = join(dir, 'quarantine.json');
const clock = simulatedClock();
const told: unknown[] = [];
const open = (): Quarantine =>
  new Quarantine(
    {
      clock,
      log: memoryLog(),
      record: (kind, { agent, faults }) => Promise.resolve(told.push([kind, agent, faults]) > 0),
    },
    path,
  );

const usage = { wall_ms: 0, fuel: 0, memory_bytes: 0, hostcalls: 0, output_bytes: 0, log_bytes_dropped: 0 };
const failed = (code: AttemptFailureCode): AttemptOutcome => ({
  type: 'failed',
  code,
  reason: '',
  retryable: false,
  usage,
});
const fault = failed('AgentTrapped');

test('three in a row, then each one more for twice as long, an hour at most; A5: the ledger is told', async () => {
  const quarantine = open();
  const lengths: number[] = [];
  for (let i = 1; i <= 12; i += 1) {
    await quarantine.note(bundle, fault);
    const until = quarantine.held(bundle.name)?.until_ms;
    if (i < faultsInARow) expect(until).toBe(undefined);
    else {
      const ms = (until ?? 0) - clock.nowMs();
      lengths.push(ms);
      // What ends while it is held back was under way before.
      await quarantine.note(bundle, fault);
      expect(quarantine.held(bundle.name)?.until_ms).toBe(until);
      await clock.advance(ms - 1);
      expect(quarantine.refusal(bundle)).toMatchObject({
        code: 'Busy',
        message: expect.stringContaining('rlp agent release'),
      });
      await clock.advance(1);
      expect(quarantine.refusal(bundle)).toBe(undefined);
    }
  }
  expect(lengths.slice(0, 3)).toEqual([quarantineMsFirst, 2 * quarantineMsFirst, 4 * quarantineMsFirst]);
  expect(lengths.at(-1)).toBe(quarantineMsMax);
  expect(told[0]).toEqual(['agent.quarantined', bundle.name, faultsInARow]);
});

test.each<[string, readonly AttemptOutcome[], boolean]>([
  ['memory, fuel and a lost cell are faults', [failed('OutOfMemory'), failed('OutOfFuel'), failed('CellLost')], true],
  ['an agent that says it failed is none', [fault, fault, failed('AgentFailed')], false],
  ['nor is a deadline', [fault, fault, failed('DeadlineExceeded')], false],
  ['a success begins the count anew', [fault, fault, { type: 'succeeded', outputs: {}, usage }, fault, fault], false],
  ['what was stopped says nothing', [fault, fault, { type: 'cancelled', usage }, fault], true],
])('%s', async (_, outcomes, held) => {
  rmSync(path, { force: true });
  const quarantine = open();
  for (const outcome of outcomes) await quarantine.note(bundle, outcome);
  expect(quarantine.held(bundle.name) !== undefined).toBe(held);
});

test('outlives a restart; another bundle of that name may run; a release ends it', async () => {
  rmSync(path, { force: true });
  const before = open();
  for (let i = 0; i < faultsInARow; i += 1) await before.note(bundle, fault);
  const quarantine = open();
  expect(quarantine.refusal(bundle)).toMatchObject({ code: 'Busy' });
  expect(quarantine.refusal({ ...bundle, digest: '1'.repeat(64) as never })).toBe(undefined);
  expect(await quarantine.release(bundle.name)).toBe(true);
  expect(await quarantine.release(bundle.name)).toBe(false);
  expect(open().refusal(bundle)).toBe(undefined);
  writeFileSync(path, 'no JSON');
  expect(open().refusal(bundle)).toBe(undefined);
});

test('A10: of more agents than quarantineMax the oldest is forgotten', async () => {
  const quarantine = open();
  for (let i = 0; i < faultsInARow; i += 1) await quarantine.note(bundle, fault);
  for (let i = 0; i < quarantineMax; i += 1) await quarantine.note({ ...bundle, name: `a${i}` }, fault);
  expect(quarantine.held(bundle.name)).toBe(undefined);
});

test.each([
  ['its own limits', '', true],
  ['those of an opening that takes from them', ', caps: { limits: { memory_mib: 1 } }', false],
])('an agent is held back for what it does within %s', async (_, narrower, held) => {
  await using place = await Place.open();
  const { submit, until } = await place.boot(() => Promise.reject(new Ends('OutOfMemory', false)));
  const text = `version: 0\nname: test\nnodes:\n  - { id: n0, use: "agent:scripted"${narrower} }\n`;
  const codes: unknown[] = [];
  for (let i = 0; i <= faultsInARow; i += 1) {
    const id = `a${i}`.repeat(16);
    unwrap(await submit({ traceId: id, text }), 'the run');
    codes.push(of(await until('run.finished', id), 'node.finished').map((row) => metaOf(row)['code'])[0]);
  }
  expect(codes.at(-1)).toBe(held ? 'Busy' : 'OutOfMemory');
});
