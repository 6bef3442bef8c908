/** What the daemon and its children are born with: no variable that changes how code is loaded, no descriptor, no core dump. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Home } from '../e2e/home.ts';
import { Arena } from './arena.ts';

let arena: Arena;
beforeAll(async () => {
  arena = await Arena.open('[limits]\ncpu_ms = 60000\n');
});
afterAll(() => arena[Symbol.asyncDispose]());

const environ = (pid: number | string): string[] =>
  readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').filter(Boolean);
const harmful = /^(?:NODE_|LD_|https?_proxy|all_proxy|HTTPS?_PROXY|ALL_PROXY)/;

function descendants(pid: number | string): string[] {
  const path = `/proc/${pid}/task/${pid}/children`;
  const children = existsSync(path) ? readFileSync(path, 'utf8').split(' ').filter(Boolean) : [];
  return [...children, ...children.flatMap(descendants)];
}

test('a daemon that is started where NODE_OPTIONS and LD_PRELOAD are set has neither, and no core dumps', async () => {
  const env = { NODE_OPTIONS: '--title=evil', LD_LIBRARY_PATH: '/tmp/evil', https_proxy: 'http://127.0.0.1:1' };
  await using home = new Home({ env });
  expect(await home.rlp('daemon', 'start')).toMatchObject({ code: 0 });
  const pid = await home.pid();
  expect(environ(pid).filter((one) => harmful.test(one))).toEqual([]);
  expect(readFileSync(`/proc/${pid}/limits`, 'utf8')).toMatch(/Max core file size +0 +0/);
});

test('A7: a cell has no environment, no descriptor but its own, and no core dumps', async () => {
  const pid = await arena.home.pid();
  const playing = arena.play({}, { try: 'spin' });
  let cell: string | undefined;
  const isCell = (one: string): boolean => {
    try {
      return /cell-[0-9a-f]+\.cjs/.test(readFileSync(`/proc/${one}/cmdline`, 'utf8'));
    } catch {
      return false;
    }
  };
  await expect.poll(() => (cell = descendants(pid).find(isCell))).toBeDefined();
  expect(environ(cell ?? '')).toEqual([]);
  expect(readFileSync(`/proc/${cell}/limits`, 'utf8')).toMatch(/Max core file size +0 +0/);
  const leads = readdirSync(`/proc/${cell}/fd`).map((fd) => readlinkSync(`/proc/${cell}/fd/${fd}`));
  const files = leads.filter((lead) => lead.startsWith('/') && lead !== '/dev/null');
  expect(files).toEqual([]);
  expect(leads.filter((lead) => lead.startsWith('socket:')).length).toBeLessThanOrEqual(2);
  await arena.client.call('run.cancel', { trace_id: `${'a'.repeat(31)}1` });
  await playing;
});
