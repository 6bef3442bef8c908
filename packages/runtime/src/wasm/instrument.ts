/**
 * Rewrites a core module so that it cannot use more memory or time than its agent may.
 *
 * 1. Every memory and table gets a maximum no larger than the limit; one that starts above it is refused.
 * 2. Every function entry and loop turn takes one unit of fuel; below zero it traps. The counter is a global of the
 *    module, exported as `runloop_fuel`, that starts at the whole budget.
 * 3. What fills, copies or grows a memory or a table takes one unit and what its length is worth, before it begins. A
 *    length that no memory or table of its limit can have is free: the instruction does nothing but fail.
 * 4. Nothing else changes: indices stay what they were, for the counter, and a global that holds a length while it is
 *    paid for, are appended behind all other globals.
 */
import { type Failure, type Result, err, failure, ok } from '@runloop/core';
import {
  fuelBytes,
  fuelPerGrow,
  fuelPerTableEntry,
  tableEntriesMax,
  wasmNameBytesMax,
  wasmPageBytes,
} from '../limits.ts';
import { Malformed, Reader, type Section, corePreamble, s64Leb, sections, u32Leb } from './bytes.ts';
import { skipImportDescription, skipReferenceType } from './guard.ts';
import { type Due, fuelDue } from './instructions.ts';

export const fuelExport = 'runloop_fuel';

export type ModuleLimits = { readonly memoryBytes: number; readonly fuel: bigint };

export function instrument(bytes: Uint8Array, limits: ModuleLimits): Result<Uint8Array, Failure> {
  try {
    return ok(rewrite(bytes, limits));
  } catch (error) {
    if (error instanceof Malformed) return err(failure('InvalidBundle', `a core module was refused: ${error.message}`));
    throw error;
  }
}

const ids = { import: 2, table: 4, memory: 5, global: 6, export: 7, start: 8, code: 10 } as const;
/** Where a new section belongs: the tag section (13) stands before the globals. */
const order: readonly number[] = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11];

function rewrite(bytes: Uint8Array, limits: ModuleLimits): Uint8Array {
  const found = sections(new Reader(bytes), corePreamble);
  const has = (id: number): Section | undefined => found.find((section) => section.id === id);
  const hasCode = has(ids.code) !== undefined;
  const counter = countGlobals(bytes, has(ids.import), has(ids.global));
  const bodies = new Map<number, Uint8Array>();
  for (const section of found) {
    const reader = new Reader(bytes, section.start, section.end);
    if (section.id === ids.memory) bodies.set(section.id, clampList(reader, 'memory', limits));
    else if (section.id === ids.table) bodies.set(section.id, clampList(reader, 'table', limits));
    else if (section.id === ids.import) bodies.set(section.id, clampImports(reader, limits));
    else if (section.id === ids.code) bodies.set(section.id, meter(reader, counter, limits));
    else if (section.id !== 0) bodies.set(section.id, bytes.subarray(section.start, section.end));
  }
  if (hasCode) {
    const global = concat([Uint8Array.of(0x7e, 0x01, 0x42), s64Leb(limits.fuel), Uint8Array.of(0x0b)]);
    const name = Buffer.from(fuelExport);
    const exported = concat([u32Leb(name.length), name, Uint8Array.of(0x03), u32Leb(counter)]);
    const length = Uint8Array.of(0x7f, 0x01, 0x41, 0x00, 0x0b);
    bodies.set(ids.global, append(append(bodies.get(ids.global), global), length));
    bodies.set(ids.export, append(bodies.get(ids.export), exported));
  }
  const out: Uint8Array[] = [Uint8Array.from(corePreamble)];
  for (const id of order) {
    const body = bodies.get(id);
    if (body !== undefined) out.push(Uint8Array.of(id), u32Leb(body.length), body);
  }
  return concat(out);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts);
}

/** A vector with one item more. */
function append(vector: Uint8Array | undefined, item: Uint8Array): Uint8Array {
  if (vector === undefined) return concat([u32Leb(1), item]);
  const reader = new Reader(vector);
  const count = reader.u32();
  return concat([u32Leb(count + 1), vector.subarray(reader.at), item]);
}

function countGlobals(bytes: Uint8Array, imports: Section | undefined, globals: Section | undefined): number {
  let count = 0;
  if (imports !== undefined) {
    const reader = new Reader(bytes, imports.start, imports.end);
    for (let left = reader.u32(); left > 0; left -= 1) {
      reader.name(wasmNameBytesMax);
      reader.name(wasmNameBytesMax);
      if (reader.bytes[reader.at] === 3) count += 1;
      skipImportDescription(reader);
    }
  }
  if (globals !== undefined) count += new Reader(bytes, globals.start, globals.end).u32();
  return count;
}

type Kind = 'memory' | 'table';

function clampList(reader: Reader, kind: Kind, limits: ModuleLimits): Uint8Array {
  const count = reader.u32();
  const out: Uint8Array[] = [u32Leb(count)];
  for (let i = 0; i < count; i += 1) {
    const start = reader.at;
    let initial = false;
    if (kind === 'table') {
      if (reader.bytes[reader.at] === 0x40) {
        reader.skip(2);
        initial = true;
      }
      skipReferenceType(reader);
    }
    out.push(reader.bytes.subarray(start, reader.at), clampLimits(reader, kind, limits, true));
    if (initial) throw new Malformed('a table with an initial expression is not supported');
  }
  if (!reader.done) throw new Malformed(`the ${kind} section is longer than its items`);
  return concat(out);
}

function clampImports(reader: Reader, limits: ModuleLimits): Uint8Array {
  const count = reader.u32();
  const out: Uint8Array[] = [u32Leb(count)];
  for (let i = 0; i < count; i += 1) {
    const start = reader.at;
    reader.name(wasmNameBytesMax);
    reader.name(wasmNameBytesMax);
    const kind = reader.bytes[reader.at];
    if (kind !== 1 && kind !== 2) {
      skipImportDescription(reader);
      out.push(reader.bytes.subarray(start, reader.at));
      continue;
    }
    reader.byte();
    if (kind === 1) skipReferenceType(reader);
    out.push(
      reader.bytes.subarray(start, reader.at),
      clampLimits(reader, kind === 1 ? 'table' : 'memory', limits, false),
    );
  }
  return concat(out);
}

/** The limits at the reader with a maximum: always for a definition, lowered where there is one for an import. */
function clampLimits(reader: Reader, kind: Kind, limits: ModuleLimits, always: boolean): Uint8Array {
  const flags = reader.byte();
  if (flags > 1) throw new Malformed(`a shared or 64-bit ${kind} is not supported`);
  const most = kind === 'memory' ? Math.floor(limits.memoryBytes / wasmPageBytes) : tableEntriesMax;
  const least = reader.u32();
  if (least > most) {
    const what =
      kind === 'memory' ? `${(least * wasmPageBytes) / 2 ** 20} MiB of memory` : `a table of ${least} entries`;
    throw new Malformed(`it starts with ${what}, more than its limit`);
  }
  if (flags === 0 && !always) return concat([Uint8Array.of(0), u32Leb(least)]);
  const maximum = flags === 1 ? Math.min(reader.u32(), most) : most;
  return concat([Uint8Array.of(1), u32Leb(least), u32Leb(maximum)]);
}

/** Takes what `cost` leaves on the stack from the counter. */
function take(counter: number, cost: readonly Uint8Array[]): Uint8Array {
  const get = concat([Uint8Array.of(0x23), u32Leb(counter)]);
  const ended = Uint8Array.of(0x42, 0x00, 0x53, 0x04, 0x40, 0x00, 0x0b); // i64.const 0, i64.lt_s, if unreachable end
  return concat([get, ...cost, Uint8Array.of(0x7d, 0x24), u32Leb(counter), get, ended]);
}

/** Takes `each` for what the length on top of the stack counts, and `once` besides, and leaves the length there. */
function takeLength(counter: number, most: number, each: readonly number[], once: number): Uint8Array {
  const length = u32Leb(counter + 1);
  const wide = concat([Uint8Array.of(0x23), length, Uint8Array.of(0xad)]); // global.get, i64.extend_i32_u
  const possible = concat([wide, constant(0), wide, constant(most), Uint8Array.of(0x58, 0x1b)]); // i64.le_u, select
  const cost = [possible, Uint8Array.from(each), constant(once), Uint8Array.of(0x7c)]; // i64.add
  return concat([Uint8Array.of(0x24), length, take(counter, cost), Uint8Array.of(0x23), length]);
}

function constant(value: number): Uint8Array {
  return concat([Uint8Array.of(0x42), s64Leb(BigInt(value))]);
}

function charges(counter: number, { memoryBytes }: ModuleLimits): { readonly [of in Due['of']]: Uint8Array } {
  const pages = Math.floor(memoryBytes / wasmPageBytes);
  const times = (value: number): number[] => [...constant(value), 0x7e];
  const over = (value: number): number[] => [...constant(value), 0x80];
  return {
    turn: take(counter, [constant(1)]),
    bytes: takeLength(counter, memoryBytes, over(fuelBytes), 1),
    pages: takeLength(counter, pages, times(wasmPageBytes / fuelBytes), fuelPerGrow),
    entries: takeLength(counter, tableEntriesMax, times(fuelPerTableEntry), fuelPerTableEntry),
  };
}

function meter(reader: Reader, counter: number, limits: ModuleLimits): Uint8Array {
  const charge = charges(counter, limits);
  const count = reader.u32();
  const out: Uint8Array[] = [u32Leb(count)];
  for (let i = 0; i < count; i += 1) {
    const body = reader.part(reader.u32());
    const start = body.at;
    for (let groups = body.u32(); groups > 0; groups -= 1) {
      body.skipLeb();
      skipValueType(body);
    }
    const due: readonly Due[] = [{ at: body.at, of: 'turn' }, ...fuelDue(body)];
    const pieces: Uint8Array[] = [];
    let from = start;
    for (const { at, of } of due) {
      pieces.push(reader.bytes.subarray(from, at), charge[of]);
      from = at;
    }
    pieces.push(reader.bytes.subarray(from, body.end));
    const size = pieces.reduce((sum, piece) => sum + piece.length, 0);
    out.push(u32Leb(size), ...pieces);
  }
  return concat(out);
}

function skipValueType(reader: Reader): void {
  skipReferenceType(reader);
}
