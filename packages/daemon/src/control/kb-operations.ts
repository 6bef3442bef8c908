/**
 * kb.*: the knowledge base for people and their clients.
 */
import { err, failure, isJsonObject, ok } from '@runloop/core';
import type { Kb } from '@runloop/kb';
import { ownKey } from './kb-upkeep-operations.ts';
import { type Operations, seesAddresses } from './operation.ts';

export function kbOperations(kb: Kb): Operations {
  return {
    'kb.query': (args, caller) => {
      const sql = args.text('sql');
      if (caller.principal.type !== 'operator') {
        return Promise.resolve(
          err(failure('Forbidden', 'SQL is for the operator alone', { hint: 'use kb.search or kb.why' })),
        );
      }
      return args.check(() => kb.query(sql));
    },
    'kb.why': (args, caller) => {
      const entity = args.text('entity');
      const asOfMs = args.optionalNumber('as_of_ms');
      return args.check(() => kb.why(entity, seesAddresses(caller), asOfMs));
    },
    'kb.blame': (args, caller) => {
      const entity = args.text('entity');
      const field = args.text('field');
      return args.check(() => kb.blame(entity, field, seesAddresses(caller)));
    },
    'kb.propose': (args, caller) => {
      const kind = args.text('kind');
      const payload = args.object('payload');
      const given = args.list('evidence');
      const evidence = given.filter((id): id is number => typeof id === 'number');
      if (evidence.length < given.length) args.refuse('evidence must be numbers of events');
      const key = args.optionalText('dedupe_key');
      if (!isJsonObject(payload)) args.refuse('payload must be a map');
      return args.check(() =>
        kb.propose(
          { kind, payload, evidence, ...(key === undefined ? {} : { dedupe_key: ownKey(caller, key) }) },
          {
            actor: caller.principal.id,
            scope: 'operator',
            kb_write: true,
            provenance: { by: caller.principal.name, uid: caller.principal.uid },
          },
        ),
      );
    },
    'kb.artifacts': (args) => {
      const traceId = args.optionalText('trace_id');
      const digest = args.optionalText('digest');
      const max = args.number('max', 50, 1000);
      return args.check(async () => {
        const rows = await kb.artifacts({ max, traceId, digest });
        return rows.ok ? ok({ artifacts: rows.value }) : rows;
      });
    },
    'kb.blob': (args) => {
      const digest = args.text('digest');
      return args.check(async () => {
        const bytes = await kb.getBlob(digest);
        return bytes.ok
          ? ok({ digest, bytes: bytes.value.length, base64: Buffer.from(bytes.value).toString('base64') })
          : bytes;
      });
    },
  };
}
