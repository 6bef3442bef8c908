/** A descriptor that was left open to the daemon is not left open to what the daemon starts. */
import { spawn } from 'node:child_process';
import { openSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

test('one that Node has not marked as its own is closed', async () => {
  const secret = openSync(import.meta.filename, 'r');
  const module = join(import.meta.dirname, '../src/home/inherited.ts');
  const program = `
import { closeInherited } from ${JSON.stringify(module)};
import { readlinkSync, readdirSync } from 'node:fs';
const leads = () => readdirSync('/proc/self/fd').filter((fd) => {
  try { return readlinkSync('/proc/self/fd/' + fd) === ${JSON.stringify(import.meta.filename)}; } catch { return false; }
}).join(' ');
const before = leads();
closeInherited();
console.log(before + ', then ' + leads());`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit', ...Array<'ignore'>(37).fill('ignore'), secret],
  });
  let said = '';
  child.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await new Promise((resolve) => child.on('close', resolve));
  expect(said).toBe('40, then \n');
});
