/**
 * Rows of 7 bits a number in the memory of a WASM module that multiplies them all with one query, 16 at a time (scan.wat).
 *
 * 1. A row is its vector times 63 over its largest number, plus 64; what that loses is won back by whoever ranks the best
 *    exactly. The query has 8 bits, and what the 64 adds to each product with it is the same for all rows.
 * 2. Rows are only added. Memory grows by a block, up to a bound; rows beyond it are refused, not dropped silently.
 */
import { scanWasm } from './scan-wasm.ts';

export interface RowMatrix {
  readonly length: number;
  readonly dimension: number;
  /** False when there is no room left. */
  add(vector: Float32Array): boolean;
  /** The products of `query` with every row, by row; they stand until the next call. */
  scan(query: Float32Array): Float32Array;
}

/** Rows of a block; a power of two. */
const blockRows = 1_024;
const pageBytes = 65_536;
/** Numbers of a row are `rowZero` plus or minus `rowMax`: 1..127. */
const [rowMax, rowZero] = [63, 64];
const queryMax = 127;

type Kernel = {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  readonly scan: (
    rows: number,
    count: number,
    dim: number,
    query: number,
    offset: number,
    scales: number,
    out: number,
  ) => void;
};

/** What is used of the global object, which Node's types leave to those of browsers. */
const { WebAssembly: wasm } = globalThis as unknown as {
  readonly WebAssembly: {
    readonly Module: new (bytes: Uint8Array) => object;
    readonly Instance: new (module: object) => { readonly exports: Kernel };
  };
};

let compiled: object | undefined;

/** The assembled scan.wat. */
function scanModule(): object {
  return (compiled ??= new wasm.Module(Buffer.from(scanWasm, 'base64')));
}

export function createRowMatrix(dimension: number, bytesMax: number): RowMatrix {
  const { memory, scan } = new wasm.Instance(scanModule()).exports;
  const dim = Math.ceil(dimension / 32) * 32;
  const queryBytes = Math.ceil(dim / 16) * 16;
  const blockBytes = blockRows * (dim + 8);
  const blockAt = (block: number): number => queryBytes + block * blockBytes;
  let length = 0;
  let scores = new Float32Array(0);
  const grow = (bytes: number): boolean => {
    const missing = Math.ceil((bytes - memory.buffer.byteLength) / pageBytes);
    if (missing <= 0) return true;
    if (bytes > bytesMax) return false;
    try {
      memory.grow(missing);
      return true;
    } catch {
      return false;
    }
  };
  return {
    dimension,
    get length() {
      return length;
    },
    add(vector) {
      const [block, row] = [Math.floor(length / blockRows), length % blockRows];
      if (row === 0 && !grow(blockAt(block + 1))) return false;
      const at = blockAt(block);
      const scale = quantise(
        vector,
        rowMax,
        rowZero,
        new Uint8Array(memory.buffer, at + blockRows * 8 + row * dim, dim),
      );
      new Float32Array(memory.buffer, at, blockRows)[row] = scale;
      length += 1;
      return true;
    },
    scan(query) {
      if (!grow(queryBytes)) throw new Error('assumed room for one query');
      const numbers = new Int8Array(memory.buffer, 0, dim);
      const scale = quantise(query, queryMax, 0, numbers);
      const offset = rowZero * numbers.reduce((sum, value) => sum + value, 0);
      if (scores.length < length) scores = new Float32Array(Math.ceil(length / blockRows) * blockRows);
      for (let from = 0; from < length; from += blockRows) {
        const at = blockAt(from / blockRows);
        scan(at + blockRows * 8, Math.min(blockRows, length - from), dim, 0, offset, at, at + blockRows * 4);
        scores.set(new Float32Array(memory.buffer, at + blockRows * 4, blockRows), from);
      }
      for (let row = 0; row < length; row += 1) scores[row] = (scores[row] ?? 0) * scale;
      return scores;
    },
  };
}

/** Writes the numbers as integers around `zero`, the largest `max` off it; answers what their distance is to be multiplied with. */
function quantise(vector: Float32Array, max: number, zero: number, out: Int8Array | Uint8Array): number {
  let largest = 0;
  for (let i = 0; i < vector.length; i += 1) {
    const size = Math.abs(vector[i] ?? 0);
    if (size > largest) largest = size;
  }
  if (!(largest > 0)) {
    out.fill(zero);
    return 0;
  }
  const factor = max / largest;
  for (let i = 0; i < vector.length; i += 1) out[i] = Math.round((vector[i] ?? 0) * factor) + zero;
  return largest / max;
}
