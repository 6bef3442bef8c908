/** The token files: who may read them, what they hold, and what is refused. */
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { unwrap } from '@runloop/core';
import { simulatedClock, testRandom } from '@runloop/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Tokens, clientTokensMax, openTokens } from '../src/index.ts';

let stateDir = '';
const clock = simulatedClock();
const open = (): Tokens => unwrap(openTokens({ stateDir, clock, random: testRandom(1) }), 'tokens open');
beforeEach(() => (stateDir = mkdtempSync(join(tmpdir(), 'rl-'))));
afterEach(() => rmSync(stateDir, { recursive: true }));

test('the operator token is made once, 0600, and rotated whole', () => {
  const path = join(stateDir, 'operator.token');
  const tokens = open();
  const first = readFileSync(path, 'utf8').trim();
  expect(first).toMatch(/^[0-9a-f]{64}$/);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(open().verify(first)?.type).toBe('operator');
  expect(tokens.rotate()).toEqual({ ok: true, value: { path } });
  const second = readFileSync(path, 'utf8').trim();
  expect([tokens.verify(first), tokens.verify(second)?.type]).toEqual([undefined, 'operator']);
  expect(readdirSync(stateDir)).toEqual(['operator.token']);
});

test('client tokens outlive a restart, expire, and are kept as hashes alone', async () => {
  const tokens = open();
  const { token } = unwrap(
    tokens.issue({ name: 'ci', grants: ['run.read', 'run.read'], expiresMs: clock.nowMs() + 1000 }),
    'issued',
  );
  const kept = readFileSync(join(stateDir, 'client-tokens.json'), 'utf8');
  expect(kept).not.toContain(token);
  expect(statSync(join(stateDir, 'client-tokens.json')).mode & 0o777).toBe(0o600);
  const again = open();
  expect(again.verify(token)).toMatchObject({ type: 'client', id: 'client:ci', grants: ['run.read'] });
  expect(again.list()).toMatchObject([{ name: 'ci', grants: ['run.read'] }]);
  await clock.advance(1000);
  expect([again.verify(token), again.list()]).toEqual([undefined, []]);
});

test('what is refused', () => {
  const tokens = open();
  const check = (name: string, grants: readonly string[], expected: string): void => {
    const issued = tokens.issue({ name, grants });
    expect(issued.ok ? 'ok' : issued.error.code, `${name} ${grants.join()}`).toBe(expected);
  };
  check('ci', ['run.read'], 'ok');
  check('ci', ['run.read'], 'Conflict');
  check('Ci!', ['run.read'], 'InvalidParams');
  check('x', [], 'InvalidParams');
  check('x', ['action.decide'], 'InvalidParams');
  expect(tokens.revoke('nobody')).toMatchObject({ error: { code: 'NotFound' } });
  for (const token of ['', 'x', '0'.repeat(64), '0'.repeat(100_000)]) expect(tokens.verify(token)).toBeUndefined();
});

test('A10: at most clientTokensMax are out', () => {
  const kept = Array.from({ length: clientTokensMax }, (_, i) => ({
    name: `t${i}`,
    grants: ['run.read'],
    issued_ms: 1,
    sha256: '0'.repeat(64),
  }));
  writeFileSync(join(stateDir, 'client-tokens.json'), JSON.stringify(kept));
  expect(open().issue({ name: 'one-more', grants: ['run.read'] })).toMatchObject({ error: { code: 'LimitExceeded' } });
});

test('A12: files that hold something else are left alone and named', () => {
  writeFileSync(join(stateDir, 'operator.token'), 'hello');
  const opened = openTokens({ stateDir, clock, random: testRandom(1) });
  expect(opened).toMatchObject({ error: { code: 'StorageCorrupt' } });
  expect(readFileSync(join(stateDir, 'operator.token'), 'utf8')).toBe('hello');
});
