/** V8's code cache of a script, made where no flag of V8 is set: a cell has none either, and V8 compares them. */
import { setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';

/** With every function compiled ahead, so that none is compiled later. */
export function codeCache(code: string, filename: string): Buffer {
  setFlagsFromString('--no-lazy');
  const script = new Script(code, { filename });
  setFlagsFromString('--lazy');
  return script.createCachedData();
}
