/** Threads: V8 compiles no call from WASM to JavaScript in them, for it may free one that another thread is using. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

/** The code that V8 says to have compiled, by its own map for profilers. */
function compiled(how: 'ours' | 'plain'): string {
  const dir = mkdtempSync(join(tmpdir(), 'threads-'));
  try {
    const script = join(import.meta.dirname, 'starter-main.ts');
    const flags = ['--no-warnings', '--perf-basic-prof', `--perf-basic-prof-path=${dir}`];
    const { stdout, status } = spawnSync(process.execPath, [...flags, script, how], { encoding: 'utf8' });
    expect([status, stdout]).toEqual([0, '10000\n']);
    const [map = 'no map'] = readdirSync(dir);
    return readFileSync(join(dir, map), 'utf8');
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

test('a call from WASM to JavaScript stays uncompiled in our threads, and only there', () => {
  const wrapper = /wasm-to-js-/;
  expect(compiled('plain')).toMatch(wrapper);
  expect(compiled('ours')).not.toMatch(wrapper);
});
