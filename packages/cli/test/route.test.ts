/** `rlp route`, `rlp why` and `rlp "<prompt>"` as processes: what they print and their exit codes. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';

const home = mkdtempSync(join(tmpdir(), 'rlp-route-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));

function rlp(
  args: readonly string[],
  more: { readonly input?: string; readonly env?: { readonly [name: string]: string } } = {},
) {
  const main = join(import.meta.dirname, '..', 'src', 'main.ts');
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--conditions=source', main, ...args], {
    encoding: 'utf8',
    input: more.input ?? '',
    env: { PATH: '/usr/bin:/bin', HOME: home, RUNLOOP_HOME: home, SHELL: '/bin/sh', ...more.env },
  });
  return { status, stdout, stderr };
}

describe('rlp route', () => {
  test.each([
    [['ls -la'], '', 10, 'shell'],
    [['find the bug in my parser'], '', 11, 'agent'],
    [['--stdin'], 'git commit -m "find the bug"\n', 10, 'shell'],
    [['--stdin', '--timeout-ms', '5000'], "don't delete it", 11, 'agent'],
  ])('%j', (args, input, status, route) => {
    const answer = rlp(['route', '--timeout-ms=5000', ...args], { input });
    expect(answer.status, answer.stderr).toBe(status);
    expect(JSON.parse(answer.stdout)).toEqual({ version: 1, route, rule: expect.any(String), blocked: false });
  });

  test('A12 time out, wrong use, and a wrong configuration have their exit codes', () => {
    expect(rlp(['route', 'ls', '--timeout-ms', '0']).status).toBe(12);
    expect(rlp(['route']).status).toBe(2);
    const wrong = rlp(['route', 'ls'], { env: { RUNLOOP__ROUTER__DENYLISTS: 'x' } });
    expect(wrong.status).toBe(65);
    expect(wrong.stderr).toContain('did you mean router.denylist');
  });
});

describe('rlp "<prompt>"', () => {
  test('a command runs in the shell and gives its exit code', () => {
    expect(rlp(['echo to the shell'])).toMatchObject({ status: 0, stdout: 'to the shell\n' });
    expect(rlp(['sh -c "exit 7"']).status).toBe(7);
  });

  test('a denied line is not run', () => {
    const answer = rlp(['echo hi there'], { env: { RUNLOOP__ROUTER__DENYLIST: 'echo hi' } });
    expect(answer).toMatchObject({ status: 77, stdout: '' });
    expect(answer.stderr).toContain('denylist: echo hi');
  });
});

test('rlp why gives features and reasons', () => {
  const answer = rlp(['why', 'make me a table of costs', '--json']);
  expect(answer.status, answer.stderr).toBe(0);
  expect(JSON.parse(answer.stdout)).toMatchObject({ route: 'agent', features: { command: 'make' } });
  expect(rlp(['why', 'ls']).stdout).toContain('the shell');
});
