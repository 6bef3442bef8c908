/**
 * Machine code of a core module, kept from one process for the next: V8's own serialization, for what a rehearsal called.
 *
 * 1. Code is taken only from a module that V8 validated in full, and given only to the bytes that it was taken from
 *    (the daemon compares both files with their digests): V8 takes what it restores for validated.
 * 2. V8 compares its version, its flags and the processor; code that does not fit is not used, and nothing is lost but time.
 * 3. The engine's own functions for it are reachable for the two functions compiled here, and for no other script.
 *
 * Only optimized code can be kept, so a rehearsal compiles whatever it calls with the optimizing compiler. Functions that
 * it did not call are compiled when they are called, as always.
 */
import { setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';

type EngineCode = {
  /** Aborts the process where no function was optimized. */
  readonly take: (module: WebAssembly.Module) => ArrayBuffer;
  readonly restore: (code: ArrayBuffer, bytes: Uint8Array) => WebAssembly.Module | undefined;
};

const source = `({
  take(module) { return module === undefined ? undefined : %SerializeWasmModule(module); },
  restore(code, bytes) { return code === undefined ? undefined : %DeserializeWasmModule(code, bytes); },
})`;

function engineCode(): EngineCode {
  setFlagsFromString('--allow-natives-syntax');
  const code = new Script(source, { filename: 'compiled-code' }).runInThisContext() as {
    readonly take: (module?: WebAssembly.Module) => ArrayBuffer;
    readonly restore: (code?: ArrayBuffer, bytes?: Uint8Array) => WebAssembly.Module | undefined;
  };
  // Functions are parsed when first called: now, while they may say what they say.
  code.take();
  code.restore();
  setFlagsFromString('--no-allow-natives-syntax');
  return code;
}

/** The module with the code that was taken from one of the same bytes, or nothing where it does not fit. */
export function restoreModule(code: ArrayBuffer, bytes: Uint8Array): WebAssembly.Module | undefined {
  const engine = engineCode();
  setFlagsFromString('--no-liftoff');
  const module = engine.restore(code, bytes);
  setFlagsFromString('--liftoff');
  return module;
}

/** Before the modules are made: what is called from now on is optimized. Gives the function that takes the code. */
export function rehearse(): (module: WebAssembly.Module) => Uint8Array {
  const engine = engineCode();
  setFlagsFromString('--no-liftoff');
  return (module) => new Uint8Array(engine.take(module));
}
