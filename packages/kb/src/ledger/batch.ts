/**
 * Events as they travel to the writer's thread: their columns in one flat list, for an object an event costs four times as
 * much to send.
 */
import type { Random } from '@runloop/core';
import type { BlobDraft } from './event.ts';
import type { PreparedEvent } from './prepare.ts';

type Column = string | number | null;

export type EventBatch = {
  /** Nine an event, in the order of `toColumns`. */
  readonly columns: readonly Column[];
  /** 16 bytes an event: one buffer for all, for a buffer each is what would cost most of sending them. */
  readonly salts: Uint8Array;
  /** What they name. */
  readonly blobs: readonly BlobDraft[];
};
/** An event with its salt, which is not yet hashed. */
export type SaltedEvent = Omit<PreparedEvent, 'trace_id'> & {
  readonly payload_salt: Buffer;
  readonly trace_id: Buffer | null;
};

const saltBytes = 16;
const columnsEach = 9;

export function packed(events: readonly PreparedEvent[], blobs: readonly BlobDraft[], random: Random): EventBatch {
  const columns: Column[] = [];
  for (const event of events) toColumns(event, columns);
  return { columns, salts: random.bytes(saltBytes * events.length), blobs };
}

export function countOf({ columns }: EventBatch): number {
  return columns.length / columnsEach;
}

export function unpacked({ columns, salts }: EventBatch, index: number): SaltedEvent {
  const at = index * columnsEach;
  const trace = columns[at + 7] as string | null;
  return {
    ts_ms: columns[at] as number,
    actor: columns[at + 1] as string,
    kind: columns[at + 2] as string,
    scope: columns[at + 3] as string,
    payload_json: columns[at + 4] as string,
    provenance_json: columns[at + 5] as string,
    dedupe_key: columns[at + 6] as string | null,
    trace_id: trace === null ? null : Buffer.from(trace, 'hex'),
    run_seq: columns[at + 8] as number | null,
    payload_salt: Buffer.from(salts.buffer, salts.byteOffset + index * saltBytes, saltBytes),
  };
}

function toColumns(event: PreparedEvent, into: Column[]): void {
  into.push(
    event.ts_ms,
    event.actor,
    event.kind,
    event.scope,
    event.payload_json,
    event.provenance_json,
    event.dedupe_key,
    event.trace_id,
    event.run_seq,
  );
}
