/**
 * Stamps of files: the same while nothing changes, another after each kind of change, none where that cannot be told.
 */
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { settleMs, stampOf } from '../src/agents/file-stamps.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'stamps-'));
  mkdirSync(join(dir, 'src'));
  mkdirSync(join(dir, 'node_modules'));
  writeFileSync(join(dir, 'manifest.toml'), 'a');
  writeFileSync(join(dir, 'src', 'agent.ts'), 'b');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const later = (): number => Date.now() + settleMs + 1000;

describe('stampOf', () => {
  const changes: readonly [what: string, change: () => void][] = [
    [
      'another text of the same length, its time set back',
      () => sameTime(() => writeFileSync(join(dir, 'manifest.toml'), 'c')),
    ],
    ['a new file', () => writeFileSync(join(dir, 'src', 'more.ts'), '')],
    ['a file that is gone', () => rmSync(join(dir, 'src', 'agent.ts'))],
    ['a file moved over another', () => replace()],
    ['another mode', () => chmodSync(join(dir, 'manifest.toml'), 0o400)],
  ];
  test.each(changes)('differs after %s', async (_, change) => {
    const before = await stampOf(dir, later());
    expect(before).toBeTypeOf('string');
    expect(await stampOf(dir, later())).toBe(before);
    await new Promise((resolve) => setTimeout(resolve, 20));
    change();
    expect(await stampOf(dir, later())).not.toBe(before);
  });

  test('what is installed beside the sources does not count', async () => {
    const before = await stampOf(dir, later());
    writeFileSync(join(dir, 'node_modules', 'x.js'), '');
    expect(await stampOf(dir, later())).toBe(before);
  });

  test('there is none for what changed just now, nor for a folder that is gone', async () => {
    expect(await stampOf(dir, Date.now())).toBeUndefined();
    expect(await stampOf(join(dir, 'gone'), later())).toBeUndefined();
  });
});

function sameTime(change: () => void): void {
  change();
  utimesSync(join(dir, 'manifest.toml'), 1, 1);
}

function replace(): void {
  writeFileSync(join(dir, 'fresh'), 'b');
  renameSync(join(dir, 'fresh'), join(dir, 'src', 'agent.ts'));
}
