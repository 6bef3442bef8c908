/**
 * Components written by hand, by a signer who is not trusted: each ends as what it was, within its limits, in its own cell;
 * what could reach the host while it is prepared is refused before. A7, A10, A12.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Arena } from './arena.ts';
import * as raw from './raw.ts';

const hasBwrap = existsSync('/usr/bin/bwrap');
if (!hasBwrap) process.stderr.write('skipped: no bubblewrap here, components of strangers are refused\n');

let arena: Arena;
beforeAll(async () => {
  arena = await Arena.open('');
  const key = join(arena.home.path, 'stranger.key');
  expect(await arena.home.rlp('agent', 'keygen', '--out', key)).toMatchObject({ code: 0 });
  expect(await arena.home.rlp('trust', 'add', 'stranger', `${key}.pub`)).toMatchObject({ code: 0 });
});
afterAll(() => arena[Symbol.asyncDispose]());

async function install(name: string, wasm: Uint8Array, caps = ''): Promise<{ code: number; err: string }> {
  const dir = join(arena.home.path, 'raw', name);
  raw.bundle(dir, name, wasm, caps);
  const signed = await arena.home.rlp('agent', 'sign', dir, '--key', join(arena.home.path, 'stranger.key'));
  return signed.code === 0 ? arena.home.rlp('agent', 'install', dir) : signed;
}

const fast = '[limits]\ncpu_ms = 100\nwall_ms = 3000\nmemory_mib = 4\n';
const evil = `(import "runloop:agent/kb@0.1.0" "search" (func $search (param i32 i32 i32)))`;

describe.skipIf(!hasBwrap)('installed from a stranger, and run in bubblewrap', () => {
  test.each<readonly [string, string, object]>([
    ['answers', raw.core(), { state: 'succeeded' }],
    ['loops', raw.core({ before: '(loop (br 0))' }), { code: 'OutOfFuel' }],
    [
      'loops_through_calls',
      raw.core({ more: '(func $f (return_call $g)) (func $g (return_call $f))', before: '(call $f)' }),
      { code: 'OutOfFuel' },
    ],
    [
      'recurses',
      raw.core({ more: '(func $f (call $f))', before: '(call $f)' }),
      {
        code: expect.stringMatching(/^(AgentTrapped|OutOfFuel)$/),
        reason: expect.stringMatching(/stack overflow|CPU/),
      },
    ],
    ['traps', raw.core({ before: 'unreachable' }), { code: 'AgentTrapped' }],
    ['divides', raw.core({ before: '(drop (i32.div_u (i32.const 1) (i32.const 0)))' }), { code: 'AgentTrapped' }],
    ['reads_outside', raw.core({ before: '(drop (i32.load (i32.const -8)))' }), { code: 'AgentTrapped' }],
    [
      'grows',
      raw.core({ before: '(loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable' }),
      { code: expect.stringMatching(/^(OutOfMemory|AgentTrapped)$/) },
    ],
    // Instructions that work for long without a loop of the guest's own.
    [
      'fills',
      raw.core({ memory: '64', before: '(loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 4194304)) (br 0))' }),
      { code: 'OutOfFuel' },
    ],
    ['starts_with_a_loop', raw.core({ more: '(func $s (loop (br 0))) (start $s)' }), { code: 'AgentTrapped' }],
    ['starts_with_a_trap', raw.core({ more: '(func $s unreachable) (start $s)' }), { code: 'AgentTrapped' }],
    ['answers_from_nowhere', raw.core({ before: '(return (i32.const -4))' }), { code: 'AgentTrapped' }],
    [
      'answers_with_4_gib',
      raw.core({ before: '(i32.store (i32.const 136) (i32.const -1))' }),
      { code: 'AgentTrapped' },
    ],
    [
      'answers_too_much',
      raw.core({ memory: '64', before: '(i32.store (i32.const 136) (i32.const 2097152))' }),
      { code: 'OutputTooLarge' },
    ],
    [
      'fails_with_garbage',
      raw.core({ before: '(i32.store (i32.const 128) (i32.const 77))' }),
      { code: 'AgentTrapped' },
    ],
    [
      'calls_its_host',
      raw.core({
        more: evil,
        before:
          '(loop (global.set $next (i32.const 4096)) (call $search (i32.const 64) (i32.const 2) (i32.const 256)) (br 0))',
      }),
      { code: expect.stringMatching(/^(OutOfFuel|DeadlineExceeded)$/) },
    ],
  ])('%s', async (name, wat, expected) => {
    expect(await install(name, await raw.component(wat), fast)).toMatchObject({ code: 0 });
    const { end } = await arena.playAgent(name, undefined, {});
    expect(end).toMatchObject({ ...('state' in expected ? {} : { state: 'failed' }), ...expected });
  });
});

describe.skipIf(!hasBwrap)('refused at install', () => {
  const plain = (): Promise<Uint8Array> => raw.component(raw.core());
  test.each<readonly [string, () => Promise<Uint8Array>, RegExp]>([
    ['a_core_module', () => raw.embedded(raw.core()), /component|preamble|magic|version/],
    ['cut_off', async () => (await plain()).slice(0, 400), /refused|malformed|end/],
    ['no_bytes', async () => new Uint8Array(), /refused|end|bytes/],
    ['a_table_of_4_billion', () => raw.component(raw.core({ more: '(table 4000000000 funcref)' })), /table/],
    ['a_memory_of_4_gib', () => raw.component(raw.core({ memory: '65536' })), /memory/],
    [
      'sockets',
      () => raw.text('(component (import "wasi:sockets/tcp@0.2.0" (instance)))'),
      /wasi:sockets\/tcp@0.2.0.*no agent may/,
    ],
    [
      'an_http_client',
      () => raw.text('(component (import "wasi:http/outgoing-handler@0.2.0" (instance)))'),
      /no agent may/,
    ],
    [
      'a_made_up_interface',
      () => raw.text('(component (import "runloop:agent/root@0.1.0" (instance)))'),
      /no agent may/,
    ],
    ['javascript_in_a_name', async () => raw.replaced(await plain(), 'cabi_realloc', "'];evil();['"), /alphabet/],
    ['a_template_in_a_name', async () => raw.replaced(await plain(), 'cabi_realloc', '${process.x}'), /alphabet/],
    ['a_nested_component', () => raw.text(`(component (component (core module (func (export "a'b")))))`), /alphabet/],
    ['too_many_parts', () => raw.text(`(component ${'(core module) '.repeat(300)})`), /parts/],
    ['no_handle', () => raw.text('(component)'), /handle|export/],
  ])('%s', async (name, make, why) => {
    const done = await install(name, await make(), fast);
    expect(done.code).not.toBe(0);
    expect(done.err).toMatch(why);
  });
});

test('A11: the daemon lives, answers at once, and no cell is left', async () => {
  const pid = await arena.home.pid();
  expect((await arena.client.ping()).ok).toBe(true);
  await expect.poll(() => cellsOf(pid), { timeout: 100_000 }).toEqual([]);
});

function cellsOf(pid: number | string): string[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  const all = readdirSync('/proc').filter((name) => children.includes(name));
  return all.filter((child) => /cell-[0-9a-f]+\.cjs/.test(readFileSync(`/proc/${child}/cmdline`, 'utf8')));
}
