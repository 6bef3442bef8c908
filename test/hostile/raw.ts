/**
 * Components written by hand, in text, without any SDK: what a compiler would not make.
 *
 * The tools that make them are the transpiler's own; what the guard must refuse is made by changing bytes afterwards.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { componentEmbed, componentNew, parse } from '@bytecodealliance/jco-transpile/wasm-tools';

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
