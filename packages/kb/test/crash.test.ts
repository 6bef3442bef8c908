/** kill -9 of a real process that appends under load: nothing that was acknowledged is lost, and the ledger verifies. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { unwrap } from '@runloop/core';
import { expect, test } from 'vitest';
import { open, tempDir } from './kb-kit.ts';

const script = fileURLToPath(new URL('append-main.ts', import.meta.url));

/** Runs the appender until `lines` answers were seen, kills it, and gives back every complete line that it wrote. */
async function killAfter(rootDir: string, round: number, lines: number): Promise<readonly string[]> {
  const child = spawn(process.execPath, ['--conditions=source', script, rootDir, String(round)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
    if (text.split('\n').length > lines) child.kill('SIGKILL');
  });
  await new Promise((resolve) => child.on('close', resolve));
  return text.split('\n').slice(0, -1);
}

test('A6: nothing acknowledged is lost in ten kills, nor a blob that it names', { timeout: 120_000 }, async () => {
  using dir = tempDir();
  const acknowledged = new Map<number, string>();
  for (let round = 0; round < 10; round += 1) {
    for (const line of await killAfter(dir.path, round, 40 + round * 37)) {
      const [name, id] = line.split(' ');
      acknowledged.set(Number(id), name ?? '');
    }
  }
  const db = new Database(join(dir.path, 'events.sqlite'), { readonly: true });
  const found = new Map(
    db.prepare<[], [number, string]>(`SELECT id, payload_json ->> '$.text' FROM events`).raw().all(),
  );
  const blobs = new Set(db.prepare<[], Buffer>('SELECT bytes FROM blobs').pluck().all().map(String));
  db.close();
  expect(acknowledged.size).toBeGreaterThan(1_000);
  for (const [id, name] of acknowledged) expect([found.get(id), blobs.has(name)]).toEqual([name, true]);
  await using kb = await open(dir.path);
  expect(unwrap(await kb.verify(), 'a check').first_bad).toBeUndefined();
  expect(unwrap(await kb.rebuild(), 'a rebuild').equal).toBe(true);
});
