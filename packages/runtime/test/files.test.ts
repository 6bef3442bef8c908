/** Files as an agent reaches them: through the real kernel and the real opener, on a real file system. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import type { JsonObject, JsonValue } from '@runloop/core';
import { type CapAudit, type HostAnswer, createFiles, createKernel, type FsGrant, noCaps } from '../src/index.ts';
import { directoryEntriesMax, fileBytesMax, filePageMax, fileReadBytesMax, fileWriteBytesMax } from '../src/limits.ts';

const root = realpathSync(mkdtempSync(join(tmpdir(), 'rl-files-')));
const [data, shelf, outside, state] = ['data', 'shelf', 'outside', 'data/state'].map((name) => join(root, name)) as [
  string,
  string,
  string,
  string,
];
afterAll(() => rmSync(root, { recursive: true, force: true }));

beforeEach(() => {
  for (const name of readdirSync(root)) rmSync(join(root, name), { recursive: true, force: true });
  for (const dir of [data, shelf, outside, state, join(data, 'dir')]) mkdirSync(dir, { recursive: true });
  writeFileSync(join(data, 'file'), 'hello');
  writeFileSync(join(data, 'dir/inner'), 'inner');
  writeFileSync(join(shelf, 'book'), 'read me');
  writeFileSync(join(outside, 'secret'), 'SECRET');
  writeFileSync(join(state, 'operator.token'), 'SECRET');
});

const grants: readonly FsGrant[] = [
  { path: data, write: true },
  { path: shelf, write: false },
];
const signal = new AbortController().signal;

type World = {
  readonly call: (op: string, args: JsonValue) => Promise<HostAnswer>;
  readonly audits: CapAudit[];
  readonly asked: string[];
};
function world(options: { decision?: 'approved' | 'denied'; repeated?: boolean; commandDirs?: string[] } = {}): World {
  const files = createFiles({ never: [state], commandDirs: options.commandDirs ?? [] });
  const audits: CapAudit[] = [];
  const asked: string[] = [];
  const kernel = createKernel({
    journal: { intent: () => Promise.resolve(), result: () => Promise.resolve(), note: () => undefined },
    approvals: {
      ask: ({ op }) => {
        asked.push(op);
        return Promise.resolve(options.decision ?? 'denied');
      },
    },
    cleared: () => true,
    leaves: (op, args, { caps }) => files.leaves(op, args, caps.fs),
    perform: (op, args, { call, approved, caps }) =>
      files.perform(op, args, { id: call, approved, repeated: options.repeated === true, grants: caps.fs }),
    audit: (audit) => void (audit.decision === 'deny' && audits.push(audit)),
    line: () => undefined,
  });
  const ids = { agent: 'probe', run_id: 'run_1', trace_id: 'ab'.repeat(16), node: 'n', attempt: 1 };
  const door = kernel.open({ ...ids, caps: { ...noCaps, fs: grants }, tape: [], mode: 'live' });
  return { call: (op, args) => door.call(op, args, signal), audits, asked };
}

async function value(answer: Promise<HostAnswer>): Promise<JsonObject> {
  const given = await answer;
  if (given.type !== 'value') throw new Error(JSON.stringify(given));
  return given.value as JsonObject;
}

const attempts = (path: string): readonly (readonly [string, JsonObject])[] => [
  ['fs.read', { path }],
  ['fs.write', { path, mode: 'replace', data: 'x' }],
  ['fs.write', { path, mode: 'at', offset: 0, data: 'x' }],
  ['fs.write', { path, mode: 'truncate', offset: 0 }],
  ['fs.write', { path, mode: 'append', offset: 6, data: 'x' }],
  ['fs.write', { path, mode: 'create', data: 'x' }],
  ['fs.stat', { path }],
  ['fs.list', { path }],
  ['fs.mkdir', { path }],
  ['fs.remove', { path }],
  ['fs.rename', { from: path, to: `${data}/renamed` }],
];

/** Ways out, each laid before it is tried; every operation is tried on each. */
const escapes: readonly (readonly [string, string, (() => unknown) | undefined])[] = [
  ['another directory', `${outside}/secret`, undefined],
  ['..', `${data}/../outside/secret`, undefined],
  ['. and doubled slashes', `${data}/.//../outside/secret`, undefined],
  ['a trailing slash', `${outside}/secret/`, undefined],
  ['a relative path', 'outside/secret', undefined],
  ['the empty path', '', undefined],
  ['NUL', `${data}/file\0`, undefined],
  ['a part that is too long', `${data}/${'x'.repeat(256)}`, undefined],
  ['a path that is too long', `${data}${'/x'.repeat(2100)}`, undefined],
  ['a neighbour whose name begins alike', `${data}side/secret`, () => mkdirSync(`${data}side`)],
  ['a symbolic link to a file', `${data}/link`, () => symlinkSync(`${outside}/secret`, `${data}/link`)],
  ['a relative symbolic link', `${data}/link`, () => symlinkSync('../outside/secret', `${data}/link`)],
  ['a symbolic link to a granted file', `${data}/link`, () => symlinkSync(`${data}/file`, `${data}/link`)],
  ['a directory that is a link', `${data}/link/secret`, () => symlinkSync(outside, `${data}/link`)],
  [
    'a link of links',
    `${data}/b`,
    () => (symlinkSync(`${outside}/secret`, `${data}/a`), symlinkSync('a', `${data}/b`)),
  ],
  ['a hard link', `${data}/hard`, () => linkSync(`${outside}/secret`, `${data}/hard`)],
  ['/proc/self/root', `/proc/self/root${outside}/secret`, undefined],
  ['a link to /proc/self/root', `${data}/link${outside}/secret`, () => symlinkSync('/proc/self/root', `${data}/link`)],
  ['/proc/self/environ', '/proc/self/environ', undefined],
  ['/dev', '/dev/null', undefined],
  ['/sys', '/sys/kernel/hostname', undefined],
  ['/run', '/run/x', undefined],
  ['the state directory', `${state}/operator.token`, undefined],
  ['the state directory itself', state, undefined],
  ['a link to the state directory', `${data}/link/operator.token`, () => symlinkSync(state, `${data}/link`)],
  ['a hard link to the token', `${data}/token`, () => linkSync(`${state}/operator.token`, `${data}/token`)],
  ['a FIFO', `${data}/fifo`, () => execFileSync('mkfifo', [`${data}/fifo`])],
];

describe('every way out of a granted directory is refused', () => {
  test.each(escapes)('%s', async (_what, path, lay) => {
    lay?.();
    for (const [op, args] of attempts(path)) {
      const { call, audits } = world({ decision: 'approved' });
      const answer = await call(op, args);
      expect(answer, op).toMatchObject({ type: 'error' });
      if (answer.type !== 'error' || answer.code !== 'CapabilityDenied') continue;
      expect(audits, op).toMatchObject([{ cap: 'fs', op, decision: 'deny' }]);
      if (answer.message.includes('may not use')) expect(answer.message, op).toMatch(/missing grant: fs/);
    }
    expect(readFileSync(`${outside}/secret`, 'utf8')).toBe('SECRET');
    expect(readFileSync(`${state}/operator.token`, 'utf8')).toBe('SECRET');
    expect(readdirSync(outside)).toEqual(['secret']);
    expect(readFileSync(`${data}/file`, 'utf8')).toBe('hello');
  });

  test('a socket and a device', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(`${data}/socket`, resolve));
    for (const [op, args] of attempts(`${data}/socket`))
      expect(await world().call(op, args)).toMatchObject({ type: 'error' });
    server.close();
    if (process.getuid?.() !== 0) return;
    execFileSync('mknod', [`${data}/zero`, 'c', '1', '5']);
    for (const [op, args] of attempts(`${data}/zero`))
      expect(await world().call(op, args)).toMatchObject({ type: 'error' });
  });

  test('a file system mounted below the granted directory', async (context) => {
    mkdirSync(`${data}/mount`);
    try {
      execFileSync('mount', ['-t', 'tmpfs', 'none', `${data}/mount`], { stdio: 'ignore' });
    } catch {
      context.skip('nothing can be mounted here');
      return;
    }
    try {
      writeFileSync(`${data}/mount/secret`, 'SECRET');
      for (const [op, args] of attempts(`${data}/mount/secret`))
        expect(await world({ decision: 'approved' }).call(op, args)).toMatchObject({
          message: expect.stringMatching(/file system/),
        });
    } finally {
      execFileSync('umount', [`${data}/mount`]);
    }
  });

  test.each(attempts('').map(([op, args]) => [op, args['mode'] ?? '', args] as const))(
    'where only reading is granted: %s %s',
    async (op, mode, args) => {
      const path = op === 'fs.list' ? shelf : `${shelf}/book`;
      const given = op === 'fs.rename' ? { from: path, to: `${data}/x` } : { ...args, path };
      const { call, audits } = world({ decision: 'approved' });
      const answer = await call(op, given);
      const reads = op === 'fs.read' || op === 'fs.stat' || op === 'fs.list';
      expect(answer.type, `${op} ${String(mode)}`).toBe(reads ? 'value' : 'error');
      if (!reads) {
        const message = expect.stringContaining(`missing grant: fs = [{ path = "${shelf}", write = true }]`);
        expect(answer).toMatchObject({ code: 'CapabilityDenied', message });
        expect(audits).toMatchObject([{ cap: 'fs', op, decision: 'deny' }]);
      }
      expect(readFileSync(`${shelf}/book`, 'utf8')).toBe('read me');
    },
  );

  test('a read-only directory inside a writable one stays so: the one around it is not moved away', async () => {
    const files = createFiles({ never: [], commandDirs: [] });
    const inner = [...grants, { path: `${data}/dir/inner`, write: false }];
    const call = { id: 'c', approved: true, repeated: false, grants: inner };
    for (const from of [`${data}/dir`, `${data}/dir/inner`])
      expect(await files.perform('fs.rename', { from, to: `${data}/y` }, call)).toMatchObject({
        code: 'CapabilityDenied',
      });
  });

  test('a directory that the state directory lies in is not moved or removed', async () => {
    mkdirSync(`${data}/x`);
    const files = createFiles({ never: [`${data}/x/state`], commandDirs: [] });
    const call = { id: 'c', approved: true, repeated: false, grants };
    expect(await files.perform('fs.rename', { from: `${data}/x`, to: `${data}/y` }, call)).toMatchObject({ ok: false });
    expect(await files.perform('fs.remove', { path: `${data}/x` }, call)).toMatchObject({ ok: false });
  });
});

describe('what is granted works', () => {
  test('write, read, list, rename, remove', async () => {
    const { call, asked } = world();
    const path = `${data}/new`;
    await value(call('fs.write', { path, mode: 'create', data: 'grüße' }));
    expect(await call('fs.write', { path, mode: 'create', data: 'x' })).toMatchObject({ code: 'Conflict' });
    await value(call('fs.write', { path, mode: 'append', offset: 7, data: '!' }));
    expect(await value(call('fs.read', { path }))).toEqual({ data: 'grüße!', bytes: 8, size: 8, end: true });
    expect(await value(call('fs.read', { path, length: 3 }))).toEqual({ data: 'gr', bytes: 2, size: 8, end: false });
    expect(await value(call('fs.read', { path, offset: 6, encoding: 'base64' }))).toMatchObject({ data: 'ZSE=' });
    expect(await call('fs.read', { path, offset: 3 })).toMatchObject({ message: expect.stringMatching(/base64/) });
    await value(call('fs.write', { path, mode: 'at', offset: 0, data: 'R1I=', encoding: 'base64' }));
    await value(call('fs.write', { path, mode: 'truncate', offset: 2 }));
    expect(readFileSync(path, 'utf8')).toBe('GR');
    await value(call('fs.write', { path, mode: 'replace', data: 'whole' }));
    expect(readFileSync(path, 'utf8')).toBe('whole');
    await value(call('fs.mkdir', { path: `${data}/sub` }));
    await value(call('fs.rename', { from: path, to: `${data}/sub/moved` }));
    expect(await value(call('fs.stat', { path: `${data}/sub/moved` }))).toMatchObject({ type: 'file', bytes: 5 });
    expect(await value(call('fs.stat', { path: data }))).toMatchObject({ type: 'directory' });
    expect(await value(call('fs.list', { path: data }))).toMatchObject({
      entries: ['dir', 'file', 'state', 'sub'].map((name) => ({ name, type: name === 'file' ? 'file' : 'directory' })),
      more: false,
    });
    expect(await call('fs.remove', { path: `${data}/sub` })).toMatchObject({ code: 'Conflict' });
    await value(call('fs.remove', { path: `${data}/sub/moved`, type: 'file' }));
    await value(call('fs.remove', { path: `${data}/sub`, type: 'directory' }));
    expect(existsSync(`${data}/sub`)).toBe(false);
    expect(asked).toEqual([]);
    expect(readdirSync(data).filter((name) => name.startsWith('.runloop-'))).toEqual([]);
  });

  test.each([
    ['a read', 'fs.read', { path: `${data}/file`, offset: -1 }],
    ['a mode', 'fs.write', { path: `${data}/file`, mode: 'over' }],
    ['base64', 'fs.write', { path: `${data}/file`, mode: 'replace', data: '?', encoding: 'base64' }],
    ['an offset that is left out', 'fs.write', { path: `${data}/file`, mode: 'append', data: 'x' }],
  ])('%s that makes no sense', async (_what, op, args) =>
    expect(await world().call(op, args)).toMatchObject({ code: 'InvalidParams' }),
  );

  test('A10: one call reads, writes and lists so much and no more; a file grows so far', async () => {
    const { call } = world();
    const path = `${data}/large`;
    writeFileSync(path, 'x'.repeat(fileReadBytesMax + 1));
    expect(await value(call('fs.read', { path, length: 2 ** 40 }))).toMatchObject({
      bytes: fileReadBytesMax,
      end: false,
    });
    expect(await call('fs.write', { path, mode: 'replace', data: 'x'.repeat(fileWriteBytesMax + 1) })).toMatchObject({
      code: 'LimitExceeded',
    });
    const far = { path, mode: 'at', offset: fileBytesMax, data: 'x' };
    expect(await call('fs.write', far)).toMatchObject({ code: 'LimitExceeded' });
    expect(await call('fs.write', { path, mode: 'truncate', offset: fileBytesMax + 1 })).toMatchObject({
      code: 'LimitExceeded',
    });
    for (let i = 0; i < filePageMax + 5; i += 1) writeFileSync(`${data}/dir/${i}`, '');
    const first = await value(call('fs.list', { path: `${data}/dir` }));
    const entries = first['entries'] as { name: string }[];
    expect([entries.length, first['more']]).toEqual([filePageMax, true]);
    const rest = await value(call('fs.list', { path: `${data}/dir`, after: entries.at(-1)?.name ?? '' }));
    expect(rest).toMatchObject({ entries: { length: 6 }, more: false });
  });

  test('A10: a directory of too many names is not listed', async () => {
    execFileSync('sh', ['-c', `cd ${data}/dir && seq ${directoryEntriesMax} | xargs touch`]);
    expect(await world().call('fs.list', { path: `${data}/dir` })).toMatchObject({ code: 'LimitExceeded' });
  });

  test('a name that is no UTF-8 is counted and not shown', async () => {
    writeFileSync(Buffer.concat([Buffer.from(`${data}/dir/`), Buffer.from([0xff, 0xfe])]), '');
    const listed = await value(world().call('fs.list', { path: `${data}/dir` }));
    expect(listed).toEqual({ entries: [{ name: 'inner', type: 'file' }], more: false, unnameable: 1 });
  });
});

describe('a call that is made again under its call id changes nothing twice', () => {
  const path = `${data}/log`;
  test.each([
    ['create', 'not begun', undefined, { mode: 'create', data: 'abc' }, 'abc'],
    ['create', 'cut off', 'ab', { mode: 'create', data: 'abc' }, 'abc'],
    ['create', 'done', 'abc', { mode: 'create', data: 'abc' }, 'abc'],
    ['create', "somebody else's", 'xyz', { mode: 'create', data: 'abc' }, 'Conflict'],
    ['append', 'not begun', '12', { mode: 'append', offset: 2, data: 'abc' }, '12abc'],
    ['append', 'cut off', '12a', { mode: 'append', offset: 2, data: 'abc' }, '12abc'],
    ['append', 'done', '12abc', { mode: 'append', offset: 2, data: 'abc' }, '12abc'],
    ['append', 'and another wrote', '12xyz', { mode: 'append', offset: 2, data: 'abc' }, 'Busy'],
    ['append', 'and another wrote more', '12abcd', { mode: 'append', offset: 2, data: 'abc' }, 'Busy'],
    ['replace', 'done', 'abc', { mode: 'replace', data: 'abc' }, 'abc'],
    ['at', 'done', '1abc', { mode: 'at', offset: 1, data: 'abc' }, '1abc'],
    ['truncate', 'done', '1', { mode: 'truncate', offset: 1 }, '1'],
  ])('%s: %s', async (_mode, _how, there, args, expected) => {
    if (there !== undefined) writeFileSync(path, there);
    const answer = await world({ repeated: true }).call('fs.write', { path, ...args });
    if (answer.type === 'error') expect(answer.code).toBe(expected);
    else expect(readFileSync(path, 'utf8')).toBe(expected);
  });

  test('append at another size than was named is refused, however it ends', async () => {
    writeFileSync(path, '12abc');
    expect(await world().call('fs.write', { path, mode: 'append', offset: 2, data: 'abc' })).toMatchObject({
      code: 'Busy',
    });
  });

  test('mkdir, remove and rename', async () => {
    const again = world({ repeated: true });
    await value(again.call('fs.mkdir', { path: `${data}/dir` }));
    await value(again.call('fs.remove', { path: `${data}/gone` }));
    await value(again.call('fs.rename', { from: `${data}/gone`, to: `${data}/file` }));
    const first = world();
    expect(await first.call('fs.mkdir', { path: `${data}/dir` })).toMatchObject({ code: 'Conflict' });
    expect(await first.call('fs.remove', { path: `${data}/gone` })).toMatchObject({ code: 'NotFound' });
    expect(await first.call('fs.rename', { from: `${data}/gone`, to: `${data}/file` })).toMatchObject({
      code: 'NotFound',
    });
  });
});

describe('a place that something executes later is asked about', () => {
  test.each([
    ['.git/hooks/pre-commit', true],
    ['.git/config', true],
    ['repo/.GIT/config', true],
    ['.bashrc', true],
    ['.envrc', true],
    ['.ssh/authorized_keys', true],
    ['.config/autostart/x.desktop', true],
    ['.config/systemd/user/x.service', true],
    ['.local/bin/ls', true],
    ['.vscode/tasks.json', true],
    ['node_modules/.bin/tsc', true],
    ['commands/ls', true],
    ['notes/.gitignore', false],
    ['config/systemd', false],
    ['Makefile', false],
    ['a.sh', false],
  ])('%s: %s', async (name, asks) => {
    const path = `${data}/${name}`;
    mkdirSync(join(path, '..'), { recursive: true });
    const denied = world({ commandDirs: [`${data}/commands`] });
    const answer = await denied.call('fs.write', { path, mode: 'create', data: 'x' });
    expect([denied.asked.length > 0, answer.type]).toEqual(asks ? [true, 'error'] : [false, 'value']);
    expect(existsSync(path)).toBe(!asks);
    await value(world({ decision: 'approved' }).call('fs.write', { path, mode: 'replace', data: 'y' }));
    expect(readFileSync(path, 'utf8')).toBe('y');
  });

  test.each([
    ['x', '.git', true],
    ['x', '.config', true],
    ['x', 'y', false],
  ])('the directory %s renamed to %s: %s', async (from, to, asks) => {
    mkdirSync(`${data}/${from}`);
    const { call, asked } = world();
    await call('fs.rename', { from: `${data}/${from}`, to: `${data}/${to}` });
    expect(asked.length > 0).toBe(asks);
  });

  test('an executable: asked about; keeps its x bit when approved; refused when it became one after the question', async () => {
    const path = `${data}/tool`;
    writeFileSync(path, 'old');
    chmodSync(path, 0o755);
    for (const mode of ['replace', 'at', 'truncate'])
      expect(await world().call('fs.write', { path, mode, offset: 0, data: 'x' })).toMatchObject({
        code: 'ApprovalDenied',
      });
    expect(await world().call('fs.rename', { from: `${data}/file`, to: path })).toMatchObject({
      code: 'ApprovalDenied',
    });
    await value(world({ decision: 'approved' }).call('fs.write', { path, mode: 'replace', data: 'new' }));
    expect([readFileSync(path, 'utf8'), lstatSync(path).mode & 0o777]).toEqual(['new', 0o755]);
    const files = createFiles({ never: [], commandDirs: [] });
    for (const args of [
      { path, mode: 'replace', data: 'x' },
      { path, mode: 'at', offset: 0, data: 'x' },
    ]) {
      const raced = await files.perform('fs.write', args, { id: 'c', approved: false, repeated: false, grants });
      expect(raced).toMatchObject({ ok: false, message: expect.stringMatching(/executable/) });
    }
    expect(readFileSync(path, 'utf8')).toBe('new');
  });
});
