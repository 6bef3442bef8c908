/** Commands that a person let an agent run: what they find is their sandbox, and nothing of them is left behind. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { JsonObject } from '@runloop/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Arena } from './arena.ts';

const hasBwrap = existsSync('/usr/bin/bwrap');
if (!hasBwrap) process.stderr.write('skipped: no bubblewrap here, what commands can reach was not tried\n');

let arena: Arena;
const grants: readonly (readonly [string, readonly string[]])[] = [
  ['/usr/bin/echo', ['{text}']],
  ['/usr/bin/env', []],
  ['/usr/bin/cat', ['{any}']],
  ['/usr/bin/find', ['{path:path}']],
  ['/usr/bin/setsid', ['-f', '/usr/bin/sleep', '{n:int}']],
];
beforeAll(async () => {
  const list = grants.map(([command, argv]) => `{ command = "${command}", argv = ${JSON.stringify(argv)} }`);
  arena = await Arena.open(`fs = ["{shelf}"]\nexec = [${list.join(', ')}]\n`);
  writeFileSync(join(arena.shelf, 'book'), 'read me');
});
afterAll(() => arena[Symbol.asyncDispose]());

async function run(command: string, ...argv: string[]): Promise<{ exit_code: number; stdout: string; stderr: string }> {
  const caps = {
    fs: [arena.shelf],
    exec: grants.map(([one, template]) => ({ command: one, argv: template })),
  } as unknown as JsonObject;
  const { answers, asked, end } = await arena.playApproved(caps, { op: 'exec.run', args: { command, argv } });
  expect(asked, JSON.stringify(answers)).toHaveLength(1);
  expect(answers?.[0], JSON.stringify(end)).toMatchObject({ ok: true });
  return answers?.[0]?.value as never;
}

describe.skipIf(!hasBwrap)('A11: in bubblewrap', () => {
  test('shell characters are text', async () => {
    const text = '$(id); `id` && id > /tmp/x | cat *';
    expect(await run('/usr/bin/echo', text)).toMatchObject({ exit_code: 0, stdout: `${text}\n` });
  });
  test('the environment is what docs/agents.md says', async () => {
    const { stdout } = await run('/usr/bin/env');
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => line.split('=')[0])
        .sort(),
    ).toEqual(['HOME', 'LANG', 'PATH', 'PWD']);
  });
  test('what is granted can be read; the token, the socket, the ledger and the home cannot be found', async () => {
    expect(await run('/usr/bin/cat', join(arena.shelf, 'book'))).toMatchObject({ stdout: 'read me' });
    const { path } = arena.home;
    for (const hidden of [
      join(path, 'operator.token'),
      join(path, 'pog/events.sqlite'),
      path,
      arena.socket,
      '/root',
      '/home',
      '/etc/shadow',
    ]) {
      const { exit_code, stdout } = await run('/usr/bin/cat', hidden);
      expect({ hidden, failed: exit_code !== 0, stdout }).toEqual({ hidden, failed: true, stdout: '' });
    }
    expect((await run('/usr/bin/find', path)).exit_code).not.toBe(0);
  });
  test('no network, and no abstract socket of the machine', async () => {
    const sockets = (await run('/usr/bin/cat', '/proc/net/unix')).stdout;
    expect(sockets).not.toContain('@');
    expect((await run('/usr/bin/cat', '/proc/net/route')).stdout.trim().split('\n').length).toBeLessThanOrEqual(1);
  });
  test('a grandchild that went into the background ends with it', async () => {
    await run('/usr/bin/setsid', '-f', '/usr/bin/sleep', '54321');
    const left = readdirSync('/proc').filter((pid) => {
      try {
        return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('sleep\u000054321');
      } catch {
        return false;
      }
    });
    expect(left).toEqual([]);
  });
});
