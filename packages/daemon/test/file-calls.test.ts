/** File calls of a run over a real ledger: a crash at any moment of one changes the file once. */
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { metaOf } from '../src/runs/tape.ts';
import { bundle, endOf, Place, type Script, traceId } from './runs-fixture.ts';

const root = realpathSync(mkdtempSync(join(tmpdir(), 'rl-calls-')));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const caps = { ...bundle.caps, fs: [{ path: root, write: true }] };

test.each([
  ['before it is done', 0],
  ['in the middle', 2],
  ['after it is done', 5],
])('an append that a crash cut off %s is in the file once', async (_when, cut) => {
  await using place = await Place.open();
  const path = join(root, `log-${cut}`);
  writeFileSync(path, 'first\n');
  const script: Script = async (call) => {
    const found = await call('fs.stat', { path });
    const offset = found.type === 'value' ? (found.value as { bytes: number }).bytes : -1;
    const answer = await call('fs.write', { path, mode: 'append', offset, data: 'again' });
    return answer.type === 'error' ? answer.message : answer.type;
  };
  let reached = (): void => undefined;
  const there = new Promise<void>((resolve) => (reached = resolve));
  const first = await place.boot(script, {
    caps,
    performer: (real) => ({
      ...real,
      async perform(op, ...rest) {
        if (op !== 'fs.write') return real.perform(op, ...rest);
        writeFileSync(path, `first\n${'again'.slice(0, cut)}`);
        reached();
        return new Promise(() => undefined);
      },
    }),
  });
  await first.submit();
  await there;
  const second = await place.boot(script, { caps });
  const rows = await second.until('run.finished');
  expect(endOf(rows)).toMatchObject({ state: 'succeeded' });
  expect(readFileSync(path, 'utf8')).toBe('first\nagain');
});

test('a write to a place that is executed later waits for a person, and then happens', async () => {
  await using place = await Place.open();
  mkdirSync(join(root, '.git/hooks'), { recursive: true });
  const path = join(root, '.git/hooks/pre-commit');
  const script: Script = async (call) => {
    const answer = await call('fs.write', { path, mode: 'create', data: 'x' });
    return answer.type === 'error' ? answer.message : answer.type;
  };
  const boot = await place.boot(script, { caps });
  await boot.submit();
  const asked = (await boot.until('node.waiting')).filter((row) => row.kind === 'action.requested').map(metaOf);
  expect(asked).toMatchObject([{ op: 'fs.write', target: path }]);
  const [action] = asked;
  await boot.runs.get(traceId)?.questions.decide(String(action?.['action']), String(action?.['hash']), 'approve', 'me');
  expect(endOf(await boot.until('run.finished'))).toMatchObject({ state: 'succeeded' });
  expect(readFileSync(path, 'utf8')).toBe('x');
});
