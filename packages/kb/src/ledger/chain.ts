/**
 * What makes the ledger tamper-evident: the hash of one event and the chain over all of them. Pure.
 *
 * 1. An event's hash covers actor, kind, payload (by a salted digest, so that it can be erased), provenance and scope.
 * 2. A chain value covers the previous one and every column of its row: payload and salt through the hash alone.
 * 3. Both are byte for byte what docs/kb.md says, so that any other program can check a ledger.
 */
import { toHex } from '@runloop/core';
import type { Blake3 } from '../blake3.ts';

/** What the first row's chain value continues. */
export const genesisChain: Uint8Array = new Uint8Array(32);

export type HashedColumns = {
  readonly actor: string;
  readonly kind: string;
  readonly scope: string;
  readonly payload_json: string;
  readonly payload_salt: Uint8Array;
  readonly provenance_json: string;
};

export type ChainedColumns = {
  readonly id: number;
  readonly ts_ms: number;
  readonly actor: string;
  readonly kind: string;
  readonly scope: string;
  readonly provenance_json: string;
  readonly hash_blake3: Uint8Array;
  readonly dedupe_key: string | null;
  readonly trace_id: Uint8Array | null;
  readonly run_seq: number | null;
};

/** BLAKE3 of the canonical JSON of {actor, kind, payload, provenance, scope}; JSON.stringify of a string is its RFC 8785 text. */
export function eventHash(blake3: Blake3, event: HashedColumns): Uint8Array {
  const payload = toHex(blake3.digest(event.payload_salt, event.payload_json));
  return blake3.digest(
    `{"actor":${JSON.stringify(event.actor)},"kind":${JSON.stringify(event.kind)},"payload":"${payload}",` +
      `"provenance":${event.provenance_json},"scope":${JSON.stringify(event.scope)}}`,
  );
}

/** Makes the chain function; it owns one scratch buffer that it writes each row into. */
export function createChain(blake3: Blake3): (previous: Uint8Array, row: ChainedColumns) => Uint8Array {
  let scratch = Buffer.allocUnsafe(16 * 1024);
  let at = 0;
  const text = (value: string | null): void => {
    if (value === null) {
      at = scratch.writeUInt32BE(0xffffffff, at);
      return;
    }
    const length = scratch.write(value, at + 4, 'utf8');
    scratch.writeUInt32BE(length, at);
    at += 4 + length;
  };
  const bytes = (value: Uint8Array | null): void => {
    at = scratch.writeUInt32BE(value === null ? 0xffffffff : value.length, at);
    if (value === null) return;
    scratch.set(value, at);
    at += value.length;
  };
  const u64 = (value: number): void => {
    at = scratch.writeBigUInt64BE(BigInt.asUintN(64, BigInt(value)), at);
  };
  return (previous, row) => {
    const chars =
      row.actor.length +
      row.kind.length +
      row.scope.length +
      row.provenance_json.length +
      (row.dedupe_key?.length ?? 0);
    const need = 512 + chars * 3 + row.hash_blake3.length + (row.trace_id?.length ?? 0);
    if (scratch.length < need) scratch = Buffer.allocUnsafe(need * 2);
    scratch.set(previous, 0);
    at = previous.length;
    u64(row.id);
    u64(row.ts_ms);
    text(row.actor);
    text(row.kind);
    text(row.scope);
    text(row.provenance_json);
    bytes(row.hash_blake3);
    text(row.dedupe_key);
    bytes(row.trace_id);
    if (row.run_seq === null) bytes(null);
    else {
      at = scratch.writeUInt32BE(8, at);
      u64(row.run_seq);
    }
    return blake3.digest(scratch.subarray(0, at));
  };
}
