/**
 * run.tape: a run as it stands on the ledger, what is on the ledger alone included, with the sizes of the blobs that it names.
 */
import { err, isJsonObject, type JsonValue, ok } from '@runloop/core';
import type { Kb } from '@runloop/kb';
import { eventsPageMax, toRunEvent } from '../runs/feed.ts';
import { metaOf } from '../runs/tape.ts';
import { mayTouch, noSuchRun, type Operations } from './operation.ts';

export function tapeOperations({ kb }: { readonly kb: Kb }): Operations {
  return {
    'run.tape': (args, caller) => {
      const traceId = args.traceId('trace_id');
      const afterId = args.number('after_id', 0, Number.MAX_SAFE_INTEGER);
      const max = args.number('max', 500, eventsPageMax);
      return args.check(async () => {
        const run = await kb.run(traceId);
        if (!run.ok) return run.error.code === 'NotFound' ? err(noSuchRun(traceId)) : run;
        if (!mayTouch(caller.principal, String(run.value.run['actor']))) return err(noSuchRun(traceId));
        const page = await kb.runEvents({ traceId, afterId, max });
        if (!page.ok) return page;
        const digests = [...new Set(page.value.events.flatMap((row) => blobsIn(metaOf(row))))];
        const sizes = await Promise.all(digests.map((digest) => kb.blobBytes(digest)));
        const events = page.value.events.map((row) => ({ id: row.id, ...toRunEvent(row) }));
        return ok({ events, bytes: Object.fromEntries(digests.map((digest, i) => [digest, sizes[i] ?? null])) });
      });
    },
  };
}

/** Digests of arguments, results and outputs. */
function blobsIn({ args, value, outputs }: { readonly [name: string]: JsonValue | undefined }): readonly string[] {
  const stored = [args, value].flatMap((one) => (isJsonObject(one) ? [one['blob']] : []));
  const given = isJsonObject(outputs)
    ? Object.values(outputs).flatMap((list) => (Array.isArray(list) ? list : []))
    : [];
  return [...stored, ...given.map((one: JsonValue) => (isJsonObject(one) ? one['digest'] : undefined))].filter(
    (digest): digest is string => typeof digest === 'string',
  );
}
