/**
 * Components written by hand, in text, without any SDK: what a compiler would not make.
 *
 * The tools that make them are the transpiler's own; what the guard must refuse is made by changing bytes afterwards.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { componentEmbed, componentNew, parse } from '@bytecodealliance/jco-transpile/wasm-tools';
import { root } from '../e2e/place.ts';

const world = `package runloop:agent@0.1.0;
interface kb { record call-failure { code: string, message: string, retryable: bool }
  search: func(request: string) -> result<string, call-failure>; }
world agent { record failure { reason: string, retryable: bool }
  import kb;
  export handle: func(request: string) -> result<string, failure>; }`;

/** Answers `{}`; `before` is what happens first, `more` what else the module holds. */
export const core = ({ before = '', more = '', memory = '2' } = {}): string => `(module
  ${more.startsWith('(import') ? more : ''}
  (memory (export "memory") ${memory})
  (global $next (mut i32) (i32.const 4096))
  (data (i32.const 64) "{}")
  (data (i32.const 128) "\\00\\00\\00\\00\\40\\00\\00\\00\\02\\00\\00\\00")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $next))
    (global.set $next (i32.add (global.get $next) (i32.and (i32.add (local.get 3) (i32.const 15)) (i32.const -8))))
    (local.get $at))
  ${more.startsWith('(import') ? '' : more}
  (func (export "handle") (param i32 i32) (result i32) ${before} (i32.const 128)))`;

export async function component(wat: string): Promise<Uint8Array> {
  const binary = await embedded(wat);
  return componentNew(binary);
}

export async function embedded(wat: string): Promise<Uint8Array> {
  return componentEmbed({ binary: await parse(wat), witSource: world, world: 'agent' });
}

/** A whole component in text. */
export const text = (wat: string): Promise<Uint8Array> => parse(wat);

/** Puts other text of the same length in place of each `from`. */
export function replaced(bytes: Uint8Array, from: string, to: string): Uint8Array {
  const changed = Buffer.from(bytes);
  let at = changed.indexOf(from);
  if (at < 0 || Buffer.byteLength(from) !== Buffer.byteLength(to))
    throw new Error(`${from} is not there, or ${to} does not fit`);
  for (; at >= 0; at = changed.indexOf(from, at + 1)) changed.write(to, at);
  return changed;
}

/** An unsigned bundle of this component in `dir`. */
export function bundle(dir: string, name: string, wasm: Uint8Array, caps = ''): void {
  mkdirSync(join(dir, 'bin'), { recursive: true });
  writeFileSync(
    join(dir, 'manifest.toml'),
    `[agent]\nname = "${name}"\nversion = "1.0.0"\n[ports]\nout = { out = ["*"] }\n`,
  );
  writeFileSync(join(dir, 'policy.caps'), caps);
  writeFileSync(join(dir, 'bin', `${name}.wasm`), wasm);
}

const shipped = readFileSync(join(root, 'packages/agent-sdk/wit/agent.wit'), 'utf8');

export type RawCall = { readonly op: string; readonly args: string | Uint8Array };

/**
 * One component that makes the call that the node's `with: {n}` names, with arguments that are baked in byte for byte, over
 * and over with `with: {n, again: true}`. Told no, it fails with the words that it was told; told yes, it answers `{}`.
 */
export async function caller(calls: readonly RawCall[]): Promise<Uint8Array> {
  const ops = [...new Set(calls.map(({ op }) => op))];
  const imports = ops.map((op, i) => {
    const [face = '', name = ''] = op.split('.');
    return `(import "runloop:agent/${face}@0.1.0" "${name}" (func $op${i} (param i32 i32 i32)))`;
  });
  let at = 65_536;
  const data: string[] = [];
  const choices = calls.map(({ op, args }, n) => {
    const bytes = typeof args === 'string' ? new TextEncoder().encode(args) : args;
    data.push(
      `(data (i32.const ${at}) "${[...bytes].map((byte) => `\\${byte.toString(16).padStart(2, '0')}`).join('')}")`,
    );
    const choice = `(if (i32.eq (local.get $n) (i32.const ${n})) (then (call $op${ops.indexOf(op)} (i32.const ${at}) (i32.const ${bytes.length}) (i32.const 256))))`;
    at += bytes.length + 16;
    return choice;
  });
  const wat = `(module
    ${imports.join('\n')}
    (memory (export "memory") ${Math.ceil((at + 4_194_304) / 65_536)})
    (global $next (mut i32) (i32.const ${at}))
    (data (i32.const 64) "{}")
    (data (i32.const 72) "\\22n\\22:")
    (data (i32.const 80) "\\22again\\22:true")
    (data (i32.const 128) "\\00\\00\\00\\00\\40\\00\\00\\00\\02\\00\\00\\00")
    ${data.join('\n')}
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (global.get $next))
      (global.set $next (i32.add (global.get $next) (i32.and (i32.add (local.get 3) (i32.const 15)) (i32.const -8))))
      (local.get $at))
    ;; Where the needle ends in the text, or 0.
    (func $after (param $p i32) (param $l i32) (param $needle i32) (param $size i32) (result i32)
      (local $i i32)
      (block $none (loop $next
        (br_if $none (i32.gt_u (local.get $size) (local.get $l)))
        (local.set $i (i32.const 0))
        (block $other (loop $same
          (br_if $other (i32.ne (i32.load8_u (i32.add (local.get $p) (local.get $i))) (i32.load8_u (i32.add (local.get $needle) (local.get $i)))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $same (i32.lt_u (local.get $i) (local.get $size)))
          (return (i32.add (local.get $p) (local.get $size)))))
        (local.set $p (i32.add (local.get $p) (i32.const 1)))
        (local.set $l (i32.sub (local.get $l) (i32.const 1)))
        (br $next)))
      (i32.const 0))
    (func (export "handle") (param $p i32) (param $l i32) (result i32)
      (local $n i32) (local $d i32) (local $again i32) (local $heap i32)
      (local.set $again (call $after (local.get $p) (local.get $l) (i32.const 80) (i32.const 12)))
      (local.set $p (call $after (local.get $p) (local.get $l) (i32.const 72) (i32.const 4)))
      (if (i32.eqz (local.get $p)) (then unreachable))
      (loop $digit
        (local.set $d (i32.sub (i32.load8_u (local.get $p)) (i32.const 48)))
        (if (i32.lt_u (local.get $d) (i32.const 10)) (then
          (local.set $n (i32.add (i32.mul (local.get $n) (i32.const 10)) (local.get $d)))
          (local.set $p (i32.add (local.get $p) (i32.const 1)))
          (br $digit))))
      (local.set $heap (global.get $next))
      (loop $call
        (global.set $next (local.get $heap))
        ${choices.join('\n')}
        (br_if $call (i32.and (i32.ne (local.get $again) (i32.const 0)) (i32.eqz (i32.load8_u (i32.const 256))))))
      (if (i32.eqz (i32.load8_u (i32.const 256))) (then (return (i32.const 128))))
      ;; err {retryable: false, reason: the message that the call failed with}
      (i32.store (i32.const 512) (i32.const 1))
      (i32.store (i32.const 516) (i32.const 0))
      (i32.store (i32.const 520) (i32.load (i32.const 268)))
      (i32.store (i32.const 524) (i32.load (i32.const 272)))
      (i32.const 512)))`;
  return componentNew(await componentEmbed({ binary: await parse(wat), witSource: shipped, world: 'agent' }));
}
