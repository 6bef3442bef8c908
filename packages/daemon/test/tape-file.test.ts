/** A tape as a file: what is written is read; what is no tape, or says it is something else, is refused whole. */
import { digestText, type JsonObject, ok, unwrap } from '@runloop/core';
import type { StoredEvent } from '@runloop/kb';
import { expect, test } from 'vitest';
import { readTapeFile, tapeLines } from '../src/replay/tape-file.ts';

const traceId = 'ab'.repeat(16);
const opening = {
  nodes: [{ id: 'n', use: { kind: 'agent', name: 'a' }, with: {} }],
  edges: [],
  policy: {},
  artifacts: { save: [] },
};
const row = (id: number, kind: string, meta: JsonObject): StoredEvent => ({
  id,
  ts_ms: id,
  actor: 'operator',
  kind,
  scope: `run/${traceId}`,
  payload: { meta },
  provenance: {},
  trace_id: traceId,
});
const blob = '{"a":1}';
const rows = [
  row(1, 'run.accepted', { opening }),
  row(2, 'node.finished', { node: 'n', outputs: { out: [{ digest: digestText(blob) }] } }),
];

async function written(): Promise<string> {
  let text = '';
  const getBlob = (digest: string): ReturnType<Parameters<typeof tapeLines>[1]['getBlob']> =>
    Promise.resolve(
      digest === digestText(blob)
        ? ok(new TextEncoder().encode(blob))
        : { ok: false, error: { code: 'NotFound', message: '' } },
    );
  for await (const line of tapeLines(rows, { getBlob })) text += line;
  return text;
}

test('what is written is read again, with the blobs that its events name', async () => {
  const { traceId: id, source } = unwrap(readTapeFile(await written(), 'f'), 'a tape');
  expect(id).toBe(traceId);
  expect(unwrap(await source.runEvents({ traceId, max: 10 }), 'rows').events).toEqual(rows);
  expect(unwrap(await source.runEvents({ traceId, afterId: 1, max: 10 }), 'rows').events).toEqual(rows.slice(1));
  expect(new TextDecoder().decode(unwrap(await source.getBlob(digestText(blob)), 'a blob'))).toBe(blob);
});

test.each<[string, (text: string) => string, RegExp]>([
  ['nothing', () => '', /f:2: a tape begins with/],
  ['something else', () => 'hello\n', /f:1: this is no line of a tape/],
  ['a newer tape', (text) => text.replace('"runloop_tape":1', '"runloop_tape":2'), /version 2; this Runloop reads 1/],
  [
    'an event of another run',
    (text) => text.replaceAll(traceId, 'cd'.repeat(16)).replace('cd'.repeat(16), traceId),
    /f:2: this is no event of the run/,
  ],
  ['an event without payload', (text) => text.replace('"payload":{', '"payload":null,"was":{'), /f:2/],
  [
    'an opening without nodes',
    (text) => text.replace('"nodes":[', '"nodes":"x","was":['),
    /begins with a run.accepted/,
  ],
  ['a line cut short', (text) => text.slice(0, 300), /f:\d: this is no line of a tape/],
])('refused is %s', async (_, change, why) => {
  const read = readTapeFile(change(await written()), 'f');
  expect(read.ok ? 'read' : read.error.message).toMatch(why);
});

test('an event that is not what its hash says is named', async () => {
  const text = (await written()).replace(
    '"actor":"operator","kind":"node.finished"',
    '"actor":"somebody","kind":"node.finished"',
  );
  const { source } = unwrap(readTapeFile(text, 'f'), 'a tape');
  expect(await source.firstChanged(traceId)).toMatchObject({ ok: true, value: { id: 2 } });
  const same = unwrap(readTapeFile(await written(), 'f'), 'a tape');
  expect(await same.source.firstChanged(traceId)).toEqual(ok(undefined));
});

test('a blob that is not what its name says is not believed', async () => {
  const text = (await written()).replace(
    Buffer.from(blob).toString('base64'),
    Buffer.from('{"a":2}').toString('base64'),
  );
  const { source } = unwrap(readTapeFile(text, 'f'), 'a tape');
  expect(await source.getBlob(digestText(blob))).toMatchObject({ ok: false, error: { code: 'DigestMismatch' } });
});
