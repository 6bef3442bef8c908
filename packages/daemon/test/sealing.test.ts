/** The ledger's head is signed every hour and at the end, where something is new; a fault is told, not thrown. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { err, failure, systemClock, systemRandom, unwrap } from '@runloop/core';
import { openKb, type Signer } from '@runloop/kb';
import { memoryLog, settle, simulatedClock } from '@runloop/testkit';
import { expect, test } from 'vitest';
import { sealing, sealMs } from '../src/home/sealing.ts';

const signer: Signer = { key: 'ab'.repeat(32), sign: () => new Uint8Array(64) };
const event = {
  ts_ms: 1,
  actor: 'user:test',
  kind: 'note.created',
  scope: 'user',
  payload: { text: 'hello' },
  provenance: {},
};

test('a head an hour where something is new, and one at the end', async () => {
  const path = mkdtempSync(join(tmpdir(), 'sealing-'));
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => rmSync(path, { recursive: true }));
  const deps = { clock: systemClock, random: systemRandom, log: memoryLog() };
  const kb = cleanup.use(unwrap(await openKb(deps, { rootDir: path }), 'a knowledge base'));
  const clock = simulatedClock();
  let asked: Promise<unknown> = Promise.resolve();
  const hourly = sealing({ clock, log: memoryLog() }, () => {
    const sealed = kb.seal(signer);
    asked = sealed;
    return sealed;
  });
  const after = async (ms: number): Promise<readonly number[]> => {
    await clock.advance(ms);
    await asked;
    await settle();
    const file = join(path, 'heads.ndjson');
    const lines = existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
    return lines.map((line) => (JSON.parse(line) as { id: number }).id);
  };
  unwrap(await kb.append([event]), 'an event');
  expect(await after(sealMs - 1)).toEqual([]);
  expect(await after(1)).toEqual([1]);
  expect(await after(sealMs)).toEqual([1]);
  unwrap(await kb.append([event]), 'another');
  await hourly[Symbol.asyncDispose]();
  expect(await after(0)).toEqual([1, 2]);
  expect(clock.pending).toBe(0);
});

test('what cannot be signed is told and tried again; stopped meanwhile, nothing is left behind', async () => {
  const clock = simulatedClock();
  const log = memoryLog();
  let go: () => void = () => undefined;
  let tries = 0;
  const hourly = sealing({ clock, log }, async () => {
    tries += 1;
    await new Promise<void>((resolve) => (go = resolve));
    return err(failure('StorageFailed', 'the disk is full'));
  });
  await clock.advance(sealMs);
  go();
  await settle();
  await clock.advance(sealMs);
  expect(tries).toBe(2);
  const stopping = hourly[Symbol.asyncDispose]();
  go();
  await settle();
  go();
  await stopping;
  expect([tries, clock.pending]).toEqual([3, 0]);
  expect(log.lines.map(({ level }) => level)).toEqual(['error', 'error', 'error']);
});
