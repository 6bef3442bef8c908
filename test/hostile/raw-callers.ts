/**
 * Components written by hand that make one call of many: which one, the node's `with: {n}` says, and `again: true` makes it
 * over and over. One component holds all cases of a suite, so that a stranger's bundle is prepared once.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { componentEmbed, componentNew, parse } from '@bytecodealliance/jco-transpile/wasm-tools';
import { root } from '../e2e/place.ts';

const hostWit = readFileSync(join(root, 'packages/agent-sdk/wit/agent.wit'), 'utf8');
const wasiWit = readFileSync(join(import.meta.dirname, 'raw-wasi.wit'), 'utf8');

/** Bytes from 65 536 on, each text once. */
class Texts {
  readonly #at = new Map<string, readonly [at: number, length: number]>();
  #next = 65_536;

  /** Where it lies and how long it is, as two constants. */
  put(value: string | Uint8Array): string {
    const bytes = Buffer.from(value as string);
    const key = bytes.toString('latin1');
    const [at, length] = this.#at.get(key) ?? [this.#next, bytes.length];
    if (!this.#at.has(key)) this.#next += length + 16;
    this.#at.set(key, [at, length]);
    return `(i32.const ${at}) (i32.const ${length})`;
  }

  get end(): number {
    return (this.#next + 15) & -16;
  }

  get data(): string {
    const escaped = (key: string): string =>
      [...Buffer.from(key, 'latin1')].map((byte) => `\\${byte.toString(16).padStart(2, '0')}`).join('');
    return [...this.#at].map(([key, [at]]) => `(data (i32.const ${at}) "${escaped(key)}")`).join('\n');
  }
}

/** `handle` takes one of the cases, and then does what `answer` says; 256 and what follows is for results. */
async function choosing(
  witSource: string,
  texts: Texts,
  { imports, more = '', cases, answer }: { imports: string; more?: string; cases: readonly string[]; answer: string },
): Promise<Uint8Array> {
  const wat = `(module
    ${imports}
    (memory (export "memory") ${Math.ceil((texts.end + 4_194_304) / 65_536)})
    (global $next (mut i32) (i32.const ${texts.end}))
    (data (i32.const 64) "{}")
    (data (i32.const 72) "\\22n\\22:")
    (data (i32.const 80) "\\22again\\22:true")
    (data (i32.const 112) "\\22say\\22:true")
    (data (i32.const 128) "\\00\\00\\00\\00\\40\\00\\00\\00\\02\\00\\00\\00")
    ${texts.data}
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
    ${more}
    (func (export "handle") (param $p i32) (param $l i32) (result i32)
      (local $n i32) (local $d i32) (local $again i32) (local $say i32) (local $heap i32) (local $x i32) (local $t i64)
      (local.set $again (call $after (local.get $p) (local.get $l) (i32.const 80) (i32.const 12)))
      (local.set $say (call $after (local.get $p) (local.get $l) (i32.const 112) (i32.const 10)))
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
        ${cases.map((one, n) => `(if (i32.eq (local.get $n) (i32.const ${n})) (then ${one}))`).join('\n')}
        (br_if $call (i32.and (i32.ne (local.get $again) (i32.const 0)) (i32.eqz (i32.load8_u (i32.const 256))))))
      ${answer}))`;
  return componentNew(await componentEmbed({ binary: await parse(wat), witSource, world: 'agent' }));
}

export type RawCall = { readonly op: string; readonly args: string | Uint8Array };

/**
 * Calls of the project's own interfaces. Told no, it fails with the words that it was told; told yes, it answers `{}`, or,
 * with `say: true`, fails with what it was answered.
 */
export async function caller(calls: readonly RawCall[]): Promise<Uint8Array> {
  const texts = new Texts();
  const ops = [...new Set(calls.map(({ op }) => op))];
  const imports = ops.map((op, i) => {
    const [face = '', name = ''] = op.split('.');
    return `(import "runloop:agent/${face}@0.1.0" "${name}" (func $op${i} (param i32 i32 i32)))`;
  });
  const cases = calls.map(({ op, args }) => `(call $op${ops.indexOf(op)} ${texts.put(args)} (i32.const 256))`);
  // err {retryable: false, reason: the message that the call failed with}
  const answer = `(if (i32.eqz (i32.load8_u (i32.const 256))) (then
        (if (i32.eqz (local.get $say)) (then (return (i32.const 128))))
        (i64.store (i32.const 268) (i64.load (i32.const 260)))))
      (i32.store (i32.const 512) (i32.const 1))
      (i32.store (i32.const 516) (i32.const 0))
      (i32.store (i32.const 520) (i32.load (i32.const 268)))
      (i32.store (i32.const 524) (i32.load (i32.const 272)))
      (i32.const 512)`;
  return choosing(hostWit, texts, { imports: imports.join('\n'), cases, answer });
}

const method = (face: string, name: string, fn: string, params: string): string =>
  `(import "wasi:${face}@0.2.3" "${name}" (func $${fn} ${params}))`;

const wasiImports = [
  method('filesystem/preopens', 'get-directories', 'directories', '(param i32)'),
  method('filesystem/types', '[method]descriptor.open-at', 'open_at', '(param i32 i32 i32 i32 i32 i32 i32)'),
  method('filesystem/types', '[method]descriptor.read', 'read', '(param i32 i64 i64 i32)'),
  method('filesystem/types', '[method]descriptor.write', 'write', '(param i32 i32 i32 i64 i32)'),
  method('filesystem/types', '[method]descriptor.set-size', 'set_size', '(param i32 i64 i32)'),
  method('filesystem/types', '[method]descriptor.create-directory-at', 'mkdir', '(param i32 i32 i32 i32)'),
  method('filesystem/types', '[method]descriptor.unlink-file-at', 'unlink', '(param i32 i32 i32 i32)'),
  method('filesystem/types', '[method]descriptor.rename-at', 'rename', '(param i32 i32 i32 i32 i32 i32 i32)'),
  method('filesystem/types', '[method]descriptor.symlink-at', 'symlink', '(param i32 i32 i32 i32 i32 i32)'),
  method('filesystem/types', '[method]descriptor.link-at', 'link', '(param i32 i32 i32 i32 i32 i32 i32 i32)'),
  method('filesystem/types', '[resource-drop]descriptor', 'drop', '(param i32)'),
  method('clocks/wall-clock', 'now', 'wall', '(param i32)'),
  method('clocks/monotonic-clock', 'now', 'monotonic', '(result i64)'),
  method('clocks/monotonic-clock', 'subscribe-duration', 'subscribe', '(param i64) (result i32)'),
  method('io/poll', '[method]pollable.block', 'block', '(param i32)'),
  method('io/poll', 'poll', 'poll', '(param i32 i32 i32)'),
  method('random/random', 'get-random-bytes', 'random', '(param i64 i32)'),
  method('cli/environment', 'get-environment', 'environment', '(param i32)'),
  method('cli/environment', 'get-arguments', 'arguments', '(param i32)'),
  method('cli/environment', 'initial-cwd', 'cwd', '(param i32)'),
  method('cli/exit', 'exit', 'exit', '(param i32)'),
  method('cli/stdout', 'get-stdout', 'stdout', '(result i32)'),
  method('io/streams', '[method]output-stream.blocking-write-and-flush', 'flush', '(param i32 i32 i32 i32)'),
];

/** One case of WASI, in text: `put` gives a text's place and length. */
export type WasiCase = (put: (value: string | Uint8Array) => string) => string;

/**
 * Cases of WASI: each leaves a number, with which the component then fails. `(call $dir)` is the first preopened directory,
 * `(call $code at)` of a result at 256 one of WASI's error codes from 1000 on, or 0; `$open` is such a result.
 */
export async function wasiCaller(cases: readonly WasiCase[]): Promise<Uint8Array> {
  const texts = new Texts();
  const more = `
    (func $dir (result i32)
      (call $directories (i32.const 640))
      (if (i32.eqz (i32.load (i32.const 644))) (then unreachable))
      (i32.load (i32.load (i32.const 640))))
    (func $code (param $at i32) (result i32)
      (if (result i32) (i32.load8_u (i32.const 256))
        (then (i32.add (i32.const 1000) (i32.load8_u (local.get $at))))
        (else (i32.const 0))))
    (func $open (param $d i32) (param $p i32) (param $l i32) (param $open i32) (param $flags i32) (result i32)
      (call $open_at (local.get $d) (i32.const 0) (local.get $p) (local.get $l) (local.get $open) (local.get $flags) (i32.const 256))
      (call $code (i32.const 260)))
    (func $number (param $x i32) (result i32)
      (local $at i32)
      (local.set $at (i32.const 900))
      (loop $digit
        (local.set $at (i32.sub (local.get $at) (i32.const 1)))
        (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.rem_u (local.get $x) (i32.const 10))))
        (local.set $x (i32.div_u (local.get $x) (i32.const 10)))
        (br_if $digit (local.get $x)))
      (i32.store (i32.const 512) (i32.const 1))
      (i32.store (i32.const 516) (i32.const 0))
      (i32.store (i32.const 520) (local.get $at))
      (i32.store (i32.const 524) (i32.sub (i32.const 900) (local.get $at)))
      (i32.const 512))`;
  const bodies = cases.map((one) => `(local.set $x ${one((value) => texts.put(value))})`);
  const answer = '(call $number (local.get $x))';
  return choosing(wasiWit, texts, { imports: wasiImports.join('\n'), more, cases: bodies, answer });
}
