/**
 * Walks a component before anything else parses it.
 *
 * 1. The component imports nothing but the agent's world and the granted part of WASI: no sockets, no HTTP.
 * 2. Every core import and export name is spelt in a small alphabet: the transpiler writes these names into JavaScript.
 * 3. Sizes and counts are bounded; whatever is malformed is a failure, never a throw.
 *
 * It deliberately does not validate types: the transpiler does, in a process that may die of it.
 */
import { type Failure, type Result, err, failure, ok } from '@runloop/core';
import { componentBytesMax, componentPartsMax, wasmNameBytesMax } from '../limits.ts';
import { Malformed, Reader, componentPreamble, corePreamble, sections } from './bytes.ts';

/** No quote, no backslash, no brace, no backtick, no control character: nothing that ends a string or opens a template. */
const namePattern = /^[A-Za-z0-9_.:/@#$|[\]()<>=*+, -]*$/;
const importPattern =
  /^(?:runloop:agent\/(?:types|log|run|model|kb|http|exec|tools|secrets|mailbox|mail|fs|clock)@0\.1\.\d+|wasi:(?:cli|clocks|filesystem|io)\/[a-z-]+@0\.2\.\d+|wasi:random\/[a-z-]+@0\.2\.\d+)$/;

type Walk = { parts: number };

export function guardComponent(bytes: Uint8Array): Result<void, Failure> {
  if (bytes.length > componentBytesMax) {
    return err(failure('InvalidBundle', `the component has ${bytes.length} bytes, more than ${componentBytesMax}`));
  }
  return attempt(() => walkComponent(new Reader(bytes), { parts: 0 }, true));
}

/** The same check of names for a core module that the transpiler emitted. */
export function guardModule(bytes: Uint8Array): Result<void, Failure> {
  return attempt(() => walkModule(new Reader(bytes)));
}

function attempt(walk: () => void): Result<void, Failure> {
  try {
    walk();
    return ok(undefined);
  } catch (error) {
    if (error instanceof Malformed) return err(failure('InvalidBundle', `the component was refused: ${error.message}`));
    throw error;
  }
}

function checkName(name: string): void {
  if (!namePattern.test(name))
    throw new Malformed(`the name ${JSON.stringify(name)} holds a character outside the alphabet`);
}

function walkComponent(reader: Reader, walk: Walk, outermost: boolean): void {
  for (const section of sections(reader, componentPreamble)) {
    const part = new Reader(reader.bytes, section.start, section.end);
    if (section.id === 1 || section.id === 4) {
      walk.parts += 1;
      if (walk.parts > componentPartsMax) throw new Malformed(`it has more than ${componentPartsMax} parts`);
    }
    if (section.id === 1) walkModule(part);
    else if (section.id === 4) walkComponent(part, walk, false);
    else if (section.id === 2) each(part, coreInstance);
    else if (section.id === 6) each(part, alias);
    else if (section.id === 10) each(part, (item) => componentImport(item, outermost));
    else if (section.id === 11) each(part, componentExport);
    else if (section.id > 12) throw new Malformed(`section ${section.id} is unknown`);
  }
}

function each(reader: Reader, one: (reader: Reader) => void): void {
  const count = reader.u32();
  for (let i = 0; i < count; i += 1) one(reader);
}

function name(reader: Reader): string {
  const text = reader.name(wasmNameBytesMax);
  checkName(text);
  return text;
}

function coreInstance(reader: Reader): void {
  const kind = reader.byte();
  if (kind === 0) reader.skipLeb();
  else if (kind !== 1) throw new Malformed('a core instance is of an unknown kind');
  each(reader, () => {
    name(reader);
    reader.byte();
    reader.skipLeb();
  });
}

function sort(reader: Reader): void {
  if (reader.byte() === 0) reader.byte();
}

function alias(reader: Reader): void {
  sort(reader);
  const target = reader.byte();
  reader.skipLeb();
  if (target === 2) reader.skipLeb();
  else if (target <= 1) name(reader);
  else throw new Malformed('an alias has an unknown target');
}

/** The text of an import or export, whichever of its spellings. */
function externName(reader: Reader): string {
  const kind = reader.byte();
  const text = name(reader);
  if (kind === 2) each(reader, () => name(reader));
  else if (kind > 1) throw new Malformed('a name is of an unknown kind');
  return text;
}

/** Reads what is imported or exported, and says its kind: 1 function, 2 value, 3 type, 4 component, 5 instance. */
function externDescription(reader: Reader): number {
  const kind = reader.byte();
  if (kind === 0) reader.byte();
  if (kind === 2 || kind === 3) {
    if (reader.byte() === 0) reader.skipLeb();
    else if (kind === 2) reader.skipLeb();
    return kind;
  }
  if (kind > 5) throw new Malformed('an import is of an unknown kind');
  reader.skipLeb();
  return kind;
}

function componentImport(reader: Reader, outermost: boolean): void {
  const text = externName(reader);
  const kind = externDescription(reader);
  // A type of the world itself is imported by its bare name and brings no behaviour.
  const bareType = kind === 3 && /^[a-z0-9-]+$/.test(text);
  if (outermost && !bareType && !importPattern.test(text)) {
    throw new Malformed(`it imports "${text}", which no agent may`);
  }
}

function componentExport(reader: Reader): void {
  externName(reader);
  sort(reader);
  reader.skipLeb();
  if (reader.byte() === 1) externDescription(reader);
}

function walkModule(reader: Reader): void {
  for (const section of sections(reader, corePreamble)) {
    const part = new Reader(reader.bytes, section.start, section.end);
    if (section.id === 2) each(part, coreImport);
    else if (section.id === 7) {
      each(part, (item) => {
        name(item);
        item.byte();
        item.skipLeb();
      });
    }
  }
}

function coreImport(reader: Reader): void {
  name(reader);
  name(reader);
  skipImportDescription(reader);
}

/** The type of a core import; also for the one who clamps it. */
export function skipImportDescription(reader: Reader): void {
  switch (reader.byte()) {
    case 0:
      return reader.skipLeb();
    case 1:
      skipReferenceType(reader);
      return skipLimits(reader);
    case 2:
      return skipLimits(reader);
    case 3:
      skipReferenceType(reader);
      return reader.skip(1);
    case 4:
      reader.skip(1);
      return reader.skipLeb();
    default:
      throw new Malformed('a core import is of an unknown kind');
  }
}

export function skipReferenceType(reader: Reader): void {
  const first = reader.byte();
  if (first === 0x63 || first === 0x64) reader.skipLeb();
}

export function skipLimits(reader: Reader): void {
  const flags = reader.byte();
  reader.skipLeb();
  if ((flags & 1) !== 0) reader.skipLeb();
}
