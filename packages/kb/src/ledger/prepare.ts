/**
 * Events and blobs as the writer takes them: checked, and their JSON in its canonical text. Pure; on the caller's thread.
 *
 * 1. All of one append is good, or the first problem is its answer and nothing of it is sent.
 * 2. Texts travel between threads at a fraction of what objects cost.
 */
import { type Failure, type Result, canonicalJson, err, failure, ok } from '@runloop/core';
import type { BlobDraft, EventDraft } from './event.ts';
import { appendEventsMax, columnCharsMax, ledgerBlobBytesMax, payloadBytesMax } from '../limits.ts';

export type PreparedEvent = {
  readonly ts_ms: number;
  readonly actor: string;
  readonly kind: string;
  readonly scope: string;
  readonly payload_json: string;
  readonly provenance_json: string;
  readonly dedupe_key: string | null;
  readonly trace_id: string | null;
  readonly run_seq: number | null;
};

export function prepare(
  drafts: readonly EventDraft[],
  blobs: readonly BlobDraft[],
): Result<readonly PreparedEvent[], Failure> {
  if (drafts.length > appendEventsMax) {
    return err(
      failure('LimitExceeded', `an append of ${drafts.length} events is over the ${appendEventsMax} that one may have`),
    );
  }
  const events: PreparedEvent[] = [];
  for (const draft of drafts) {
    const payload = columnJson(draft.payload, 'payload');
    if (!payload.ok) return payload;
    const provenance = columnJson(draft.provenance, 'provenance');
    if (!provenance.ok) return provenance;
    const wrong = wrongColumn(draft);
    if (wrong !== undefined) return err(failure('InvalidDelta', `the event's ${wrong}`));
    events.push({
      ts_ms: draft.ts_ms,
      actor: draft.actor,
      kind: draft.kind,
      scope: draft.scope,
      payload_json: payload.value,
      provenance_json: provenance.value,
      dedupe_key: draft.dedupe_key ?? null,
      trace_id: draft.trace_id ?? null,
      run_seq: draft.run_seq ?? null,
    });
  }
  for (const { content } of blobs) {
    const bytes = typeof content === 'string' ? Buffer.byteLength(content) : content.length;
    if (bytes > ledgerBlobBytesMax)
      return err(
        failure(
          'LimitExceeded',
          `a blob of ${bytes} bytes is over the ${ledgerBlobBytesMax} that one in the ledger may have`,
        ),
      );
  }
  return ok(events);
}

function columnJson(value: unknown, column: string): Result<string, Failure> {
  const text = canonicalJson(value);
  if (!text.ok)
    return err(
      failure('InvalidDelta', `the event's ${column} is not canonical JSON at ${text.error.path}: ${text.error.why}`),
    );
  if (!text.value.startsWith('{')) return err(failure('InvalidDelta', `the event's ${column} is not an object`));
  if (text.value.length > payloadBytesMax) {
    return err(
      failure(
        'LimitExceeded',
        `the event's ${column} has ${text.value.length} characters, over the ${payloadBytesMax} that one may have`,
        { hint: 'Store it as a blob and name its digest.' },
      ),
    );
  }
  return ok(text.value);
}

/** What is wrong with a column that is not JSON, or nothing. */
function wrongColumn(draft: EventDraft): string | undefined {
  for (const name of ['actor', 'kind', 'scope', 'dedupe_key'] as const) {
    const text = draft[name];
    if (name === 'dedupe_key' && text === undefined) continue;
    if (typeof text !== 'string' || text === '') return `${name} is missing`;
    if (text.length > columnCharsMax) return `${name} has more than ${columnCharsMax} characters`;
    if (!text.isWellFormed() || text.includes('\0')) return `${name} is not well-formed text`;
  }
  if (!Number.isSafeInteger(draft.ts_ms) || draft.ts_ms < 0) return 'ts_ms is not a time in milliseconds';
  if (draft.trace_id !== undefined && !/^[0-9a-f]{32}$/.test(draft.trace_id)) return 'trace_id is not 32 hex digits';
  if (draft.run_seq !== undefined && !(Number.isSafeInteger(draft.run_seq) && draft.run_seq > 0))
    return 'run_seq is not a count from 1';
  return undefined;
}
