/** The ledger on the caller's own thread does what the threads do: the same answers, the same rows, the same views. */
import { expect, test } from 'vitest';
import { systemClock, unwrap } from '@runloop/core';
import { testRandom } from '@runloop/testkit';
import { openKb } from '../src/index.ts';
import { draft, quiet, runEvent, tempDir, trace } from './kb-kit.ts';

async function lives(simulated: boolean): Promise<unknown> {
  using dir = tempDir();
  const open = async (): Promise<ReturnType<typeof openKb>> =>
    openKb({ clock: systemClock, random: testRandom(7), log: quiet }, { rootDir: dir.path, simulated });
  const told: unknown[] = [];
  {
    await using kb = unwrap(await open(), 'a first life');
    told.push(await kb.append([draft(), runEvent('run.accepted', { name: 'x', agents: {} }, 1)]));
    told.push(await kb.append([draft({ actor: '' })]));
    told.push(await Promise.all([kb.append([draft({ dedupe_key: 'a' })]), kb.append([draft({ dedupe_key: 'a' })])]));
    told.push(await kb.putBlob(new TextEncoder().encode('bytes')));
    told.push(
      (await openKb({ clock: systemClock, random: testRandom(), log: quiet }, { rootDir: dir.path, simulated })).ok,
    );
  }
  await using kb = unwrap(await open(), 'a second life');
  told.push(await kb.openRuns(), await kb.runEvents({ traceId: trace, max: 10 }), await kb.run(trace));
  told.push(await kb.propose({ kind: 'nonsense', payload: {} }, { actor: 'a', scope: 's', kb_write: true }));
  const blob = unwrap(await kb.putBlob(new TextEncoder().encode('bytes')), 'a digest');
  told.push(Buffer.from(unwrap(await kb.getBlob(blob), 'a blob')).toString());
  const { before, after, equal, events } = unwrap(await kb.rebuild(), 'a rebuild');
  told.push({ before, after, equal, events }, unwrap(await kb.verify(), 'a check'));
  return told;
}

test('A6: a second opener is refused, and all that is told is what the threads tell', async () => {
  expect(await lives(true)).toEqual(await lives(false));
});
