/**
 * WASI by a component written by hand and signed by a stranger: handles that it does not have, paths that lead out, floods.
 * What its grants refuse is on the ledger with the missing one; what breaks WASI's own rules ends that instance. A7, A8, A10.
 */
import { linkSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { JsonObject } from '@runloop/core';
import { Arena, nothing, type Played } from './arena.ts';
import { wasiCaller, type WasiCase } from './raw-callers.ts';
import { hasBwrap, installFromStranger } from './stranger.ts';

const name = 'wasi';
const [create, truncate] = [1, 8];
const [read, write] = [1, 2];

const open =
  (path: string, how = 0, flags = read): WasiCase =>
  (put) =>
    `(call $open (call $dir) ${put(path)} (i32.const ${how}) (i32.const ${flags}))`;
/** A call that answers a result at 256 with its error code one byte further. */
const told =
  (call: WasiCase): WasiCase =>
  (put) =>
    `(block (result i32) ${call(put)} (call $code (i32.const 257)))`;

/** WASI's error codes, as its WIT counts them, from 1000 on. */
const code = {
  quota: 1006,
  isDirectory: 1014,
  loop: 1015,
  noEntry: 1020,
  notDirectory: 1024,
  notPermitted: 1031,
  readOnly: 1033,
} as const;

type Row = readonly [what: string, one: WasiCase, code: number, missing?: RegExp];

/** Under a grant to read the shelf; `missing` is what the ledger then says. */
const toldNo: readonly Row[] = [
  ['above its directory', open('../x'), code.notPermitted, /fs = \["\/tmp"\]/],
  ['above it, by a detour', open('deep/../../x'), code.notPermitted, /fs = \["\/tmp"\]/],
  ['an absolute path', open('/etc/passwd'), code.notPermitted, /fs = \["\/etc"\]/],
  ['/proc/self', open('../../proc/self/environ'), code.notPermitted, /fs/],
  ['NUL in a path', open('book\0.txt'), code.notPermitted, /plain absolute path/],
  ['a name of 5 000 bytes', open('x'.repeat(5000)), code.notPermitted, /plain absolute path/],
  ['a link', open('etc/passwd'), code.loop],
  ['a file with two names', open('hard'), code.notPermitted],
  ['a file as a directory', open('book', 2), code.notDirectory],
  ['what is not there', open('nothing'), code.noEntry],
  ['to create, read-only', open('new', create, write), code.readOnly, /write = true/],
  ['to truncate, read-only', open('book', truncate), code.readOnly, /write = true/],
  ['to write, read-only', open('book', 0, write), code.readOnly, /write = true/],
  [
    'a directory, read-only',
    told((put) => `(call $mkdir (call $dir) ${put('sub')} (i32.const 256))`),
    code.readOnly,
    /write = true/,
  ],
  [
    'a removal, read-only',
    told((put) => `(call $unlink (call $dir) ${put('book')} (i32.const 256))`),
    code.readOnly,
    /write = true/,
  ],
  [
    'a rename to the outside',
    told((put) => `(call $rename (call $dir) ${put('book')} (call $dir) ${put('../book')} (i32.const 256))`),
    code.notPermitted,
    /fs = /,
  ],
  [
    'a symbolic link',
    told((put) => `(call $symlink (call $dir) ${put('/etc')} ${put('l')} (i32.const 256))`),
    code.notPermitted,
  ],
  [
    'a hard link',
    told((put) => `(call $link (call $dir) (i32.const 0) ${put('book')} (call $dir) ${put('l')} (i32.const 256))`),
    code.notPermitted,
  ],
  [
    'a directory read as a file',
    () =>
      '(block (result i32) (call $read (call $dir) (i64.const 9) (i64.const 0) (i32.const 256)) (call $code (i32.const 260)))',
    code.isDirectory,
  ],
  [
    'a write through what was opened to read',
    (put) =>
      `(block (result i32) (drop (call $open (call $dir) ${put('book')} (i32.const 0) (i32.const ${read})))
        (call $write (i32.load (i32.const 260)) ${put('evil')} (i64.const 0) (i32.const 256)) (call $code (i32.const 264)))`,
    1003,
  ],
  [
    'files_open',
    (put) =>
      `(block (result i32) (loop $more (br_if $more (i32.eqz (call $open (call $dir) ${put('book')} (i32.const 0) (i32.const ${read})))))
        (call $code (i32.const 260)))`,
    code.quota,
  ],
];

/** What breaks the rules of components, not those of a grant. */
const broken: readonly (readonly [what: string, one: WasiCase])[] = [
  [
    'a stream that never was',
    (put) => `(block (result i32) (call $flush (i32.const 4242) ${put('x')} (i32.const 256)) (i32.const 0))`,
  ],
  ['handle 0', (put) => `(call $open (i32.const 0) ${put('book')} (i32.const 0) (i32.const 1))`],
  ['a handle of -1', (put) => `(call $open (i32.const -1) ${put('book')} (i32.const 0) (i32.const 1))`],
  [
    'a handle after its end',
    (put) =>
      `(block (result i32) (local.set $x (call $dir)) (call $drop (local.get $x))
        (call $open (local.get $x) ${put('book')} (i32.const 0) (i32.const 1)))`,
  ],
  [
    'a handle ended twice',
    () =>
      '(block (result i32) (local.set $x (call $dir)) (call $drop (local.get $x)) (call $drop (local.get $x)) (i32.const 0))',
  ],
  ['a handle of another kind', (put) => `(call $open (call $stdout) ${put('book')} (i32.const 0) (i32.const 1))`],
  ['a text from nowhere', () => '(call $open (call $dir) (i32.const -16) (i32.const 12) (i32.const 0) (i32.const 1))'],
  ['a text of 4 GiB', () => '(call $open (call $dir) (i32.const 0) (i32.const -1) (i32.const 0) (i32.const 1))'],
  [
    'an answer to nowhere',
    () => '(block (result i32) (call $read (call $dir) (i64.const 9) (i64.const 0) (i32.const -4)) (i32.const 0))',
  ],
  [
    'a list of handles from nowhere',
    () => '(block (result i32) (call $poll (i32.const 0) (i32.const 100000000) (i32.const 256)) (i32.const 0))',
  ],
];

/** What it is told of the world, and of time without the grant. */
const world: readonly (readonly [what: string, one: WasiCase, answer: number])[] = [
  ['no environment', () => '(block (result i32) (call $environment (i32.const 640)) (i32.load (i32.const 644)))', 0],
  ['no arguments', () => '(block (result i32) (call $arguments (i32.const 640)) (i32.load (i32.const 644)))', 0],
  [
    'no directory that it stands in',
    () => '(block (result i32) (call $cwd (i32.const 640)) (i32.load8_u (i32.const 640)))',
    0,
  ],
  [
    'no directory at all',
    () => '(block (result i32) (call $directories (i32.const 640)) (i32.load (i32.const 644)))',
    0,
  ],
  [
    'an hour of sleep is over at once',
    () =>
      '(block (result i32) (call $block (call $subscribe (i64.const 3600000000000))) (i32.wrap_i64 (i64.div_u (call $monotonic) (i64.const 1000000000))))',
    3600,
  ],
  [
    'the wall clock stands',
    () =>
      '(block (result i32) (call $wall (i32.const 640)) (local.set $t (i64.load (i32.const 640))) (loop $l (local.set $d (i32.add (local.get $d) (i32.const 1))) (br_if $l (i32.lt_u (local.get $d) (i32.const 100000000)))) (call $wall (i32.const 640)) (i32.wrap_i64 (i64.sub (i64.load (i32.const 640)) (local.get $t))))',
    0,
  ],
  [
    'no more randomness at once than fits',
    () =>
      '(block (result i32) (call $random (i64.const 0x7fffffffffffffff) (i32.const 640)) (i32.load (i32.const 644)))',
    65_536,
  ],
];

/** Without an end: each is ended as what it was. */
const floods: readonly (readonly [what: string, one: WasiCase])[] = [
  ['handles', () => '(loop (result i32) (drop (call $subscribe (i64.const 1))) (br 0))'],
  [
    'output',
    () =>
      '(loop (result i32) (call $flush (local.tee $x (call $stdout)) (i32.const 0) (i32.const 60000) (i32.const 256)) (br 0))',
  ],
  [
    'randomness',
    () =>
      '(loop (result i32) (global.set $next (local.get $heap)) (call $random (i64.const 65536) (i32.const 640)) (br 0))',
  ],
  [
    'stat',
    (put) => `(loop (result i32) (drop (call $open (call $dir) ${put('nothing')} (i32.const 0) (i32.const 1))) (br 0))`,
  ],
];

const cases = [...toldNo, ...broken, ...world, ...floods];
const numbered = (
  rows: readonly (readonly [string, WasiCase, ...unknown[]])[],
): readonly (readonly [string, number])[] => rows.map((row) => [row[0], cases.findIndex(([what]) => what === row[0])]);

let arena: Arena;
beforeAll(async () => {
  if (!hasBwrap) return;
  arena = await Arena.open('');
  const { shelf } = arena;
  mkdirSync(join(shelf, 'deep'));
  writeFileSync(join(shelf, 'book'), 'read me');
  writeFileSync(join(shelf, 'one'), 'x');
  linkSync(join(shelf, 'one'), join(shelf, 'hard'));
  symlinkSync('/etc', join(shelf, 'etc'));
  const caps = `fs = [{ path = "${shelf}", write = true }]\ntime = true\n[limits]\ncpu_ms = 2000\n`;
  const component = await wasiCaller(cases.map(([, one]) => one));
  await installFromStranger(arena, name, component, caps);
}, 120_000);
afterAll(() => arena[Symbol.asyncDispose]());

const play = (n: number, caps: JsonObject = {}): Promise<Played> =>
  arena.playAgent(name, { ...nothing, ...caps }, { n });

/** And so the faults are no longer in a row. */
async function theNextOneRuns(): Promise<void> {
  const [[, n] = ['', 0]] = numbered(world);
  expect((await play(n)).end).toMatchObject({ code: 'AgentFailed', reason: '0' });
}

describe.skipIf(!hasBwrap)('told no, and the ledger says why', () => {
  test.each(numbered(toldNo))('%s', async (_, n) => {
    const [, , answer, missing] = toldNo[n] ?? expect.fail();
    const { end, audits } = await play(n, { fs: [arena.shelf] });
    expect(end).toMatchObject({ state: 'failed', code: 'AgentFailed', reason: String(answer) });
    const refusal = { agent: name, cap: 'fs', decision: 'deny', reason: expect.stringMatching(missing ?? /./) };
    expect(audits).toMatchObject(missing === undefined ? audits : [refusal]);
    expect(readdirSync(arena.shelf).sort()).toEqual(['book', 'deep', 'etc', 'hard', 'one']);
    expect(readFileSync(join(arena.shelf, 'book'), 'utf8')).toBe('read me');
  });
});

describe.skipIf(!hasBwrap)('the end of that instance alone', () => {
  test.each(numbered(broken))('%s', async (_, n) => {
    const { end } = await play(n, { fs: [{ path: arena.shelf, write: true }] });
    expect(end).toMatchObject({ state: 'failed', code: 'AgentTrapped' });
    expect(String(end['reason'])).not.toMatch(/at .*\(.*:\d+:\d+\)/);
    await theNextOneRuns();
  });
});

describe.skipIf(!hasBwrap)('nothing of the machine, and no time without the grant', () => {
  test.each(numbered(world))('%s', async (what, n) => {
    expect((await play(n)).end).toMatchObject({
      code: 'AgentFailed',
      reason: String(world.find((row) => row[0] === what)?.[2]),
    });
  });
});

describe.skipIf(!hasBwrap)('without an end', () => {
  test.each(numbered(floods))('%s', async (_, n) => {
    const { end } = await play(n, { fs: [arena.shelf], limits: { wall_ms: 1_500 } });
    expect(end).toMatchObject({
      state: 'failed',
      code: expect.stringMatching(/^(OutOfFuel|OutOfMemory|DeadlineExceeded)$/),
    });
    await theNextOneRuns();
  });
  test('A10: what was logged is bounded', () => {
    expect(statSync(join(arena.home.path, 'logs', 'agents.log')).size).toBeLessThan(2 * 1024 * 1024);
  });
});
