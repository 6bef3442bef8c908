/** Modules made by hand, run with their fuel and limits: they end where they should, and do what they did before. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import '../src/cell/webassembly.ts';
import { fuelBytes, fuelPerGrow, fuelPerTableEntry } from '../src/limits.ts';
import { corePreamble, s64Leb, u32Leb } from '../src/wasm/bytes.ts';
import { fuelExport, instrument } from '../src/wasm/instrument.ts';

const text = (value: string): number[] => [...u32Leb(Buffer.byteLength(value)), ...Buffer.from(value)];
const section = (id: number, body: readonly number[]): number[] => [id, ...u32Leb(body.length), ...body];
const i32 = (value: number): number[] => [0x41, ...s64Leb(BigInt(value | 0))];
const nullFunction = [0xd0, 0x70];
const fill = [0xfc, 11, 0];
const endless = (body: readonly number[]): number[] => [0x03, 0x40, ...body, 0x0c, 0, 0x0b, 0x00];

/** `body` as a function `f` that gives an i32, with a memory `m`, a table, and a segment of eight for each. */
function module(body: readonly number[], memory: readonly number[] = [1, 2, 4]): Uint8Array {
  const code = [0, ...body, 0x0b];
  const parts = [
    section(1, [1, 0x60, 0, 1, 0x7f]),
    section(3, [1, 0]),
    section(4, [1, 0x70, 1, 16, 24]),
    section(5, [1, ...memory]),
    section(7, [2, ...text('f'), 0, 0, ...text('m'), 2, 0]),
    section(9, [1, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0]),
    section(12, [1]),
    section(10, [1, ...u32Leb(code.length), ...code]),
    section(11, [1, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8]),
  ];
  return Uint8Array.from([...corePreamble, ...parts.flat()]);
}

type Exports = {
  readonly f: () => number;
  readonly m: WebAssembly.Memory & { grow(pages: number): number };
  readonly [fuelExport]: { readonly value: bigint };
};

function instantiate(binary: Uint8Array): Exports {
  return new WebAssembly.Instance(new WebAssembly.Module(binary.slice()), {}).exports as unknown as Exports;
}

function metered(binary: Uint8Array, memoryBytes: number, fuel: bigint): Exports {
  const result = instrument(binary, { memoryBytes, fuel });
  if (!result.ok) throw new Error(result.error.message);
  return instantiate(result.value);
}

describe('A10: the meter', () => {
  test('an endless loop ends when its fuel does', () => {
    const exports = metered(module(endless([])), 2 ** 20, 1000n);
    expect(() => exports.f()).toThrow(/unreachable/);
    expect(exports[fuelExport].value).toBe(-1n);
  });
  test('memory stops at its limit', () => {
    const { m } = metered(module([0x00], [0, 1]), 3 * 65_536, 1n);
    expect(m.grow(2)).toBe(1);
    expect(() => m.grow(1)).toThrow(RangeError);
  });
  test('a module that starts above its limit is refused', () =>
    expect(instrument(module([0x00]), { memoryBytes: 0, fuel: 1n })).toMatchObject({
      ok: false,
      error: { message: expect.stringMatching(/more than its limit/) },
    }));

  const page = 65_536;
  const used = (body: readonly number[]): number => {
    const exports = metered(module(body), 4 * page, 2n ** 60n);
    expect(exports.f()).toBe(7);
    return Number(2n ** 60n - exports[fuelExport].value);
  };
  const entry = used(i32(7));
  test.each([
    ['memory.fill', [...i32(0), ...i32(1), ...i32(2 * page), ...fill], 1 + (2 * page) / fuelBytes],
    ['memory.copy', [...i32(0), ...i32(9), ...i32(page), 0xfc, 10, 0, 0], 1 + page / fuelBytes],
    ['memory.init', [...i32(0), ...i32(0), ...i32(8), 0xfc, 8, 0, 0], 1],
    ['memory.grow', [...i32(2), 0x40, 0, 0x1a], fuelPerGrow + (2 * page) / fuelBytes],
    ['a memory.grow that cannot be', [...i32(-1), 0x40, 0, 0x1a], fuelPerGrow],
    ['table.init', [...i32(0), ...i32(0), ...i32(8), 0xfc, 12, 0, 0], 9 * fuelPerTableEntry],
    ['table.copy', [...i32(0), ...i32(0), ...i32(16), 0xfc, 14, 0, 0], 17 * fuelPerTableEntry],
    ['table.grow', [...nullFunction, ...i32(8), 0xfc, 15, 0, 0x1a], 9 * fuelPerTableEntry],
    ['table.fill', [...i32(0), ...nullFunction, ...i32(16), 0xfc, 17, 0], 17 * fuelPerTableEntry],
  ])('%s costs what its length is worth', (_, body, worth) => expect(used([...body, ...i32(7)]) - entry).toBe(worth));
  test('a loop that fills 64 MiB ends when its fuel does, after one turn', () => {
    const whole = 64 * 2 ** 20;
    const exports = metered(
      module(endless([...i32(0), ...i32(1), ...i32(whole), ...fill]), [0, ...u32Leb(whole / page)]),
      whole,
      BigInt((1.5 * whole) / fuelBytes),
    );
    expect(() => exports.f()).toThrow(/unreachable/);
    expect(exports[fuelExport].value).toBeLessThan(0n);
  });
});

describe('a module with its meter', () => {
  /** What a run did: its result or that it trapped, and what it left in memory. */
  const observe = ({ f, m }: Exports): { readonly result: number | undefined; readonly memory: Buffer } => {
    let result: number | undefined;
    try {
      result = f();
    } catch (error) {
      if (!(error instanceof Error) || error.name !== 'RuntimeError') throw error;
    }
    return { result, memory: Buffer.from(m.buffer) };
  };
  const nothing = fc.constant([] as readonly number[]);
  const number = (values: fc.Arbitrary<number>): fc.Arbitrary<readonly number[]> => values.map(i32);
  const place = number(fc.oneof(fc.nat(40), fc.nat(3 * 65_536), fc.constantFrom(-1, 65_536, 131_072, 2 ** 31 - 1)));
  const small = number(fc.nat(18));
  const instruction = (op: readonly number[], ...operands: fc.Arbitrary<readonly number[]>[]) =>
    fc.tuple(...operands).map((given) => [...given.flat(), ...op]);
  const instructions = fc.array(
    fc.oneof(
      instruction(fill, place, small, place),
      instruction([0xfc, 10, 0, 0], place, place, place),
      instruction([0xfc, 8, 0, 0], place, small, small),
      instruction([0xfc, 9, 0], nothing),
      instruction([0x40, 0, 0x1a], number(fc.constantFrom(0, 1, 2, 3, -1))),
      instruction([0xfc, 12, 0, 0], small, small, small),
      instruction([0xfc, 14, 0, 0], small, small, small),
      instruction([0xfc, 15, 0, 0x1a], fc.constant(nullFunction), small),
      instruction([0xfc, 17, 0], small, fc.constant(nullFunction), small),
    ),
    { maxLength: 12 },
  );
  /** The size of the memory, of the table, or whether its first entry is null. */
  const result = fc.constantFrom([0x3f, 0], [0xfc, 16, 0], [...i32(0), 0x25, 0, 0xd1]);

  test('does what it did without, whatever it fills, copies and grows', () => {
    fc.assert(
      fc.property(instructions, result, (list, last) => {
        const binary = module([...list.flat(), ...last]);
        const [before, after] = [instantiate(binary), metered(binary, 4 * 65_536, 2n ** 60n)].map(observe);
        expect(after?.result).toBe(before?.result);
        expect(before?.memory.equals(after?.memory ?? Buffer.of())).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});
