/** rlp agent verify: what policy.caps says is what is observed, and a line that does not hold is named. A12. */
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Arena } from './arena.ts';

let arena: Arena;
beforeAll(async () => {
  arena = await Arena.open(`
fs = ["/usr/share", { path = "{shelf}", write = true }]
net = ["api.example.com", "*.example.org", "http://127.0.0.1:9"]
time = true
kb_read = ["contacts"]
kb_write = true
secrets = ["runloop/hostile/key"]
model = { allow = ["small-*"] }
mail = { from = "me@example.com", to = ["*@example.com"] }
mailbox = ["writer"]
exec = [{ command = "/usr/bin/find", argv = ["{path:path}"] }]
[limits]
hostcalls = 50
`);
});
afterAll(() => arena[Symbol.asyncDispose]());

type Report = {
  readonly rows: readonly { line: string; probe: string; expected: string; observed: string; ok: boolean }[];
};
const verify = async (): Promise<Report & { code: number }> => {
  const { code, out } = await arena.home.rlp('agent', 'verify', 'hostile', '--json');
  return { code, ...(JSON.parse(out) as Report) };
};

test('each line is tried, inside and outside; nothing is performed', async () => {
  const { code, rows } = await verify();
  expect(rows.filter(({ ok }) => !ok)).toEqual([]);
  expect(code).toBe(0);
  for (const key of ['fs', 'net', 'kb_read', 'secrets', 'model', 'mail', 'mailbox', 'exec']) {
    const mine = rows.filter(({ line }) => line.startsWith(key));
    expect(
      mine.some(({ observed }) => observed === 'refused'),
      key,
    ).toBe(true);
    expect(
      mine.some(({ observed }) => observed !== 'refused'),
      key,
    ).toBe(true);
  }
  expect(rows.filter(({ line }) => line.startsWith('limits.')).map(({ observed }) => observed)).toEqual([
    'OutOfMemory',
    'OutOfFuel',
    'DeadlineExceeded',
    'OutputTooLarge',
    'LimitExceeded',
  ]);
});

test('a line that does not hold is told, and is exit 1', async () => {
  rmSync(arena.shelf, { recursive: true });
  const { code, rows } = await verify();
  expect(code).toBe(1);
  expect(rows.filter(({ ok }) => !ok)).toMatchObject([{ probe: `look at ${arena.shelf}`, expected: 'works' }]);
});
