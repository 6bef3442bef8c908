/**
 * Walks the instructions of one function body, to find where fuel is due: behind the header of each loop, and before
 * each instruction that does work in proportion to the length on top of the stack.
 *
 * It knows the immediates of every instruction up to SIMD, threads, exceptions and typed references; garbage-collected
 * types (0xfb) are refused, for no agent needs them and an unknown immediate would lose the way.
 */
import { Malformed, type Reader } from './bytes.ts';

const loop = 0x03;
const memoryGrow = 0x40;
const prefixed = 0xfc;
/** What is counted by the last operand of memory.init, copy and fill, and of table.init, copy, grow and fill. */
const bulkUnits: ReadonlyMap<number, Due['of']> = new Map([
  ...([8, 10, 11] as const).map((sub) => [sub, 'bytes'] as const),
  ...([12, 14, 15, 17] as const).map((sub) => [sub, 'entries'] as const),
]);

/** Fuel that is due at an offset: for a turn, or for a number that lies on the stack. */
export type Due = { readonly at: number; readonly of: 'turn' | 'bytes' | 'pages' | 'entries' };

/** Where fuel is due between the reader and its end. */
export function fuelDue(reader: Reader): Due[] {
  const found: Due[] = [];
  while (!reader.done) {
    const { at } = reader;
    const opcode = reader.byte();
    if (opcode === prefixed) {
      const of = bulkUnits.get(bulk(reader));
      if (of !== undefined) found.push({ at, of });
      continue;
    }
    skipImmediates(reader, opcode);
    if (opcode === loop) found.push({ at: reader.at, of: 'turn' });
    if (opcode === memoryGrow) found.push({ at, of: 'pages' });
  }
  return found;
}

function lebs(reader: Reader, count: number): void {
  for (let i = 0; i < count; i += 1) reader.skipLeb();
}

function memarg(reader: Reader): void {
  const align = reader.u32();
  if ((align & 0x40) !== 0) reader.skipLeb();
  reader.skipLeb();
}

function skipImmediates(reader: Reader, opcode: number): void {
  if (opcode >= 0x45 && opcode <= 0xc4) return;
  if (opcode >= 0x28 && opcode <= 0x3e) return memarg(reader);
  if (opcode >= 0x20 && opcode <= 0x26) return lebs(reader, 1);
  switch (opcode) {
    case 0x00: // unreachable
    case 0x01: // nop
    case 0x05: // else
    case 0x0a: // throw_ref
    case 0x0b: // end
    case 0x0f: // return
    case 0x19: // catch_all
    case 0x1a: // drop
    case 0x1b: // select
    case 0xd1: // ref.is_null
    case 0xd3: // ref.eq
    case 0xd4: // ref.as_non_null
      return;
    case 0x02: // block
    case 0x03: // loop
    case 0x04: // if
    case 0x06: // try
    case 0x07: // catch
    case 0x08: // throw
    case 0x09: // rethrow
    case 0x0c: // br
    case 0x0d: // br_if
    case 0x10: // call
    case 0x12: // return_call
    case 0x14: // call_ref
    case 0x15: // return_call_ref
    case 0x18: // delegate
    case 0x3f: // memory.size
    case 0x40: // memory.grow
    case 0x41: // i32.const
    case 0x42: // i64.const
    case 0xd0: // ref.null
    case 0xd2: // ref.func
    case 0xd5: // br_on_null
    case 0xd6: // br_on_non_null
      return lebs(reader, 1);
    case 0x11: // call_indirect
    case 0x13: // return_call_indirect
      return lebs(reader, 2);
    case 0x0e: // br_table
      return lebs(reader, reader.u32() + 1);
    case 0x1c: // select t*
      return lebs(reader, reader.u32());
    case 0x1f: // try_table
      return tryTable(reader);
    case 0x43:
      return reader.skip(4);
    case 0x44:
      return reader.skip(8);
    case 0xfd:
      return simd(reader);
    case 0xfe:
      return atomic(reader);
    default:
      throw new Malformed(`instruction 0x${opcode.toString(16)} is not supported`);
  }
}

function tryTable(reader: Reader): void {
  reader.skipLeb();
  const catches = reader.u32();
  for (let i = 0; i < catches; i += 1) lebs(reader, reader.byte() < 2 ? 2 : 1);
}

/** Which of the instructions that begin with 0xfc it is. */
function bulk(reader: Reader): number {
  const sub = reader.u32();
  if (sub > 17) throw new Malformed(`instruction 0xfc ${sub} is not supported`);
  if (sub > 7) lebs(reader, sub === 8 || sub === 10 || sub === 12 || sub === 14 ? 2 : 1);
  return sub;
}

function simd(reader: Reader): void {
  const sub = reader.u32();
  if (sub <= 11 || sub === 92 || sub === 93) return memarg(reader);
  if (sub === 12 || sub === 13) return reader.skip(16);
  if (sub >= 21 && sub <= 34) return reader.skip(1);
  if (sub >= 84 && sub <= 91) {
    memarg(reader);
    return reader.skip(1);
  }
  if (sub > 275) throw new Malformed(`instruction 0xfd ${sub} is not supported`);
}

function atomic(reader: Reader): void {
  const sub = reader.u32();
  if (sub === 3) return reader.skip(1);
  memarg(reader);
}
