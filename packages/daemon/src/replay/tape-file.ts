/**
 * A tape as one file: data only, never a component, never a decision that counts. NDJSON: a head, the events, the blobs.
 *
 * 1. A blob is what its digest says, and an event what its hash says, or the replay names it. 2. What does not have the shape of a tape is refused whole.
 */
import {
  type Digest,
  canonicalJson,
  digestBytes,
  digestJson,
  digestText,
  err,
  failure,
  type Failure,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  ok,
  parseJson,
  type Result,
} from '@runloop/core';
import type { ChangedEvent, StoredEvent } from '@runloop/kb';
import type { TapeSource } from './tape-source.ts';

/** Bytes of a tape that is read from a file. */
export const tapeFileBytesMax: number = 256 * 1024 * 1024;
const format = 1;

/** The lines of the file. */
export async function* tapeLines(
  rows: readonly StoredEvent[],
  tape: Pick<TapeSource, 'getBlob'>,
): AsyncGenerator<string> {
  yield `${JSON.stringify({ runloop_tape: format, trace_id: rows[0]?.trace_id ?? '' })}\n`;
  for (const row of rows) yield `${JSON.stringify({ event: row, hash: digestJson(row) })}\n`;
  for (const digest of new Set(rows.flatMap((row) => digestsIn(row.payload)))) {
    const bytes = await tape.getBlob(digest);
    if (bytes.ok) yield `${JSON.stringify({ blob: digest, base64: Buffer.from(bytes.value).toString('base64') })}\n`;
  }
}

/** Every text in an event that is a digest; those that name no blob are simply not found. */
function digestsIn(value: JsonValue): readonly string[] {
  if (typeof value === 'string') return /^[0-9a-f]{64}$/.test(value) ? [value] : [];
  if (value === null || typeof value !== 'object') return [];
  return Object.values(value).flatMap((one: JsonValue) => digestsIn(one));
}

export function readTapeFile(
  text: string,
  name: string,
): Result<{ readonly traceId: string; readonly source: TapeSource }, Failure> {
  const bad = (line: number, why: string): Result<never, Failure> =>
    err(
      failure('InvalidParams', `${name}:${line}: ${why}`, {
        hint: 'a tape is written by: rlp replay <trace> --export <file>',
      }),
    );
  const rows: StoredEvent[] = [];
  const blobs = new Map<string, Uint8Array>();
  const lines = text.split('\n').filter((line) => line !== '');
  let traceId = '';
  let changed: ChangedEvent | undefined;
  for (const [i, line] of lines.entries()) {
    const parsed = parseJson(line);
    if (!parsed.ok || !isJsonObject(parsed.value)) return bad(i + 1, 'this is no line of a tape');
    const { runloop_tape: version, trace_id: id, event, hash, blob, base64 } = parsed.value;
    if (i === 0) {
      if (typeof version !== 'number' || typeof id !== 'string') return bad(1, 'this is no tape');
      if (version > format) return bad(1, `a tape of version ${version}; this Runloop reads ${format}`);
      traceId = id;
    } else if (isJsonObject(event)) {
      if (!isRow(event, traceId)) return bad(i + 1, 'this is no event of the run that the first line names');
      rows.push(event as unknown as StoredEvent);
      const canonical = canonicalJson(event);
      if (!canonical.ok) return bad(i + 1, `${canonical.error.path}: ${canonical.error.why}`);
      const found = digestText(canonical.value);
      if (hash !== found) changed ??= { id: Number(event['id']), written: String(hash), found };
    } else if (typeof blob === 'string' && typeof base64 === 'string') blobs.set(blob, Buffer.from(base64, 'base64'));
  }
  const opening = rows[0]?.payload?.['meta'];
  if (rows[0]?.kind !== 'run.accepted' || !isJsonObject(opening) || !isOpening(opening['opening']))
    return bad(2, 'a tape begins with a run.accepted that holds an opening');
  const source: TapeSource = {
    runEvents: ({ afterId = 0, max }) =>
      Promise.resolve(ok({ events: rows.filter(({ id }) => id > afterId).slice(0, max) })),
    getBlob: (digest) => Promise.resolve(blobOf(blobs, digest)),
    firstChanged: () => Promise.resolve(ok(changed)),
  };
  return ok({ traceId, source });
}

function blobOf(blobs: ReadonlyMap<string, Uint8Array>, digest: string): Result<Uint8Array, Failure> {
  const bytes = blobs.get(digest);
  if (bytes === undefined) return err(failure('NotFound', `the tape has no blob ${digest}`));
  const found: Digest = digestBytes(bytes);
  return found === digest
    ? ok(bytes)
    : err(failure('DigestMismatch', `the blob ${digest} does not hold what its name says`));
}

function isRow({ id, ts_ms, kind, trace_id, payload }: JsonObject, traceId: string): boolean {
  const isDated = typeof id === 'number' && typeof ts_ms === 'number';
  return isDated && typeof kind === 'string' && trace_id === traceId && isJsonObject(payload);
}

/** The members that the engine reads; the rest is looked at where it is used. */
function isOpening(opening: JsonValue | undefined): boolean {
  if (!isJsonObject(opening)) return false;
  const { nodes, edges, policy, artifacts } = opening;
  if (!Array.isArray(nodes) || !Array.isArray(edges) || !isJsonObject(policy) || !isJsonObject(artifacts)) return false;
  const isNode = (node: JsonValue): boolean =>
    isJsonObject(node) && typeof node['id'] === 'string' && isJsonObject(node['use']) && isJsonObject(node['with']);
  const isEdge = (edge: JsonValue): boolean =>
    isJsonObject(edge) && isJsonObject(edge['from']) && isJsonObject(edge['to']);
  return (nodes as readonly JsonValue[]).every(isNode) && (edges as readonly JsonValue[]).every(isEdge);
}
