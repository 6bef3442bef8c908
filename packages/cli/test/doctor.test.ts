/** What `rlp doctor` makes of a disk and of the places for secrets. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { resolveConfig, systemClock, systemRandom, unwrap } from '@runloop/core';
import { inspectSecrets } from '@runloop/daemon';
import { afterAll, describe, expect, test } from 'vitest';
import { roomCheck, writeCheck } from '../src/doctor/room.ts';

const dir = mkdtempSync(join(tmpdir(), 'rlp-doctor-'));
const { config } = unwrap(resolveConfig([]), 'the defaults');
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('A12: room for the state directory', () => {
  const disk = { bsize: 4096, files: 1_000_000, ffree: 500_000 };
  const blocks = (mib: number): number => (mib * 2 ** 20) / disk.bsize;
  test.each([
    ['plenty', { ...disk, bavail: blocks(1024) }, 'ok', /^1024 MiB are free$/],
    ['little', { ...disk, bavail: blocks(1023) }, 'warning', /^1023 MiB/],
    ['nearly none', { ...disk, bavail: blocks(63) }, 'error', /^full: 63 MiB/],
    ['none', { ...disk, bavail: 0 }, 'error', /^full: 0 MiB/],
    ['no more files', { ...disk, bavail: blocks(9000), ffree: 999 }, 'error', /only 999 more files/],
    ['no number of files', { ...disk, bavail: blocks(9000), files: 0, ffree: 0 }, 'ok', /9000 MiB/],
  ])('%s', (_, room, state, says) => {
    const check = roomCheck(room);
    expect(check).toMatchObject({ state, says: expect.stringMatching(says) });
    expect(check.hint === undefined).toBe(state === 'ok');
  });
  test('what cannot be written is said', () => {
    expect(writeCheck(dir)).toBeUndefined();
    expect(writeCheck('/proc')).toMatchObject({
      state: 'error',
      says: expect.stringMatching(/\/proc could not be written/),
    });
    expect(writeCheck(join(dir, 'gone'))).toMatchObject({ state: 'error', says: expect.stringMatching(/ENOENT/) });
  });
});

test('A12: which places for secrets can be used', async () => {
  const look = async (env: NodeJS.ProcessEnv): Promise<object> =>
    Object.fromEntries(
      (await inspectSecrets({ clock: systemClock, random: systemRandom, env }, config, dir))
        .filter(({ name }) => name !== 'os-keyring')
        .map(({ name, isUsable, says }) => [name, `${isUsable} ${says}`]),
    );
  expect(await look({})).toEqual({
    vault: 'false not made',
    systemd: 'false no credentials given',
    env: 'true 0 variables, for development',
  });
  const credentials = join(dir, 'credentials');
  mkdirSync(credentials);
  for (const name of ['runloop.models.openai', 'runloop.models.openai.for', 'other'])
    writeFileSync(join(credentials, name), '');
  mkdirSync(join(dir, 'secrets'));
  writeFileSync(join(dir, 'secrets', 'vault.json'), '');
  expect(await look({ CREDENTIALS_DIRECTORY: credentials, RUNLOOP_RUNLOOP_MODELS_X: 'x', RUNLOOP_HOME: '/' })).toEqual({
    vault: expect.stringMatching(/^true .*vault.json$/),
    systemd: 'true 1 credentials',
    env: 'true 1 variables, for development',
  });
  expect(await look({ CREDENTIALS_DIRECTORY: join(dir, 'gone') })).toMatchObject({
    systemd: expect.stringMatching(/^false .*ENOENT/),
  });
});
