/**
 * What keeps the ledger and its views sound, for the operator: check, seal, rebuild, back up, compact, forget.
 */
import { join, isAbsolute } from 'node:path';
import { type Clock, digestText, err, failure, isJsonObject, ok, type Result, type Failure } from '@runloop/core';
import { type Kb, needles, parseHead, type Signer } from '@runloop/kb';
import type { Caller, Operations } from './operation.ts';

export type KbUpkeepDeps = {
  readonly clock: Clock;
  readonly kb: Kb;
  readonly signer: Signer;
  /** Where backups go that are given no place. */
  readonly backupsDir: string;
  /** What else holds texts in files: logs, caches. */
  readonly forgetElsewhere: (has: (text: string) => boolean) => Promise<Result<void, Failure>>;
};

export function kbUpkeepOperations({ clock, kb, signer, backupsDir, forgetElsewhere }: KbUpkeepDeps): Operations {
  const elsewhere = async (entity: string, values: readonly string[]): Promise<Result<void, Failure>> => {
    const gone = await forgetElsewhere(needles(entity, values).has);
    if (gone.ok) return gone;
    const { code, message } = gone.error;
    return err(
      failure(code, `a log or a cache still holds ${entity}: ${message}`, {
        hint: 'remove the files in logs/ of the state directory yourself, and say it again',
      }),
    );
  };
  return {
    'kb.stats': (args) => args.check(() => kb.stats()),
    'kb.progress': (args) => args.check(() => Promise.resolve(ok(kb.progress() ?? {}))),
    'kb.verify': (args) => {
      const given = args.object('head');
      const head = Object.keys(given).length === 0 ? undefined : parseHead(JSON.stringify(given));
      return args.check(async () => {
        if (head !== undefined && !head.ok) return head;
        // A head that was kept elsewhere may be of a key that this host no longer has.
        return kb.verify(head === undefined ? { key: signer.key } : { head: head.value });
      });
    },
    'kb.seal': (args) => args.check(() => kb.seal(signer)),
    'kb.rebuild': (args) => args.check(() => kb.rebuild()),
    'kb.vacuum': (args) => args.check(() => kb.vacuum()),
    'kb.archive': (args) => {
      const beforeMs = args.number('before_ms', 0, Number.MAX_SAFE_INTEGER);
      return args.check(() => kb.archive(beforeMs));
    },
    'kb.backup': (args, caller) => {
      const stamp = new Date(clock.nowMs()).toISOString().replace(/[-:]|\.\d+/g, '');
      const into = args.optionalText('into') ?? join(backupsDir, stamp);
      if (!isAbsolute(into)) args.refuse('into must be an absolute path');
      return args.check(() => kb.backup(into, byOf(caller)));
    },
    'kb.forget': (args, caller) => {
      const entity = args.text('entity');
      const planned = args.boolean('plan');
      return args.check(async () => {
        if (planned) return kb.planForget(entity);
        // Logs and caches first, for what is cut off later finds no values any more; and again for what was written meanwhile.
        const plan = await kb.planForget(entity);
        const before = plan.ok ? await elsewhere(entity, plan.value.values) : ok(undefined);
        if (!before.ok) return before;
        const done = await kb.forget(entity, byOf(caller));
        if (!done.ok) return done;
        const after = await elsewhere(entity, done.value.values);
        return after.ok ? done : after;
      });
    },
    'kb.export': (args) => {
      const afterId = args.number('after_id', 0, Number.MAX_SAFE_INTEGER);
      const max = args.number('max', 500, 1_000);
      const kinds = args.list('kinds').filter((kind): kind is string => typeof kind === 'string');
      return args.check(() => kb.knowledge({ afterId, max, kinds }));
    },
    'kb.contradictions': (args) => {
      const max = args.number('max', 100, 1_000);
      return args.check(async () => {
        const found = await kb.contradictions(max);
        return found.ok ? ok({ contradictions: found.value }) : found;
      });
    },
    'kb.import': (args, caller) => {
      const deltas = args.list('deltas');
      if (deltas.length > importDeltasMax) args.refuse(`deltas are more than ${importDeltasMax}`);
      return args.check(async () => {
        // Together: they share commits.
        const said = await Promise.all(deltas.map((delta) => importOne(kb, caller, delta)));
        const failed = said.find((one) => !one.ok && !isRefusal(one.error));
        if (failed !== undefined) return failed;
        return ok({ results: said.map((one) => (one.ok ? one.value : { refused: one.error.message })) });
      });
    },
  };
}

/** A key as the ledger keeps it: it cannot be erased, so it says nothing. */
export function ownKey({ principal }: Caller, key: string): string {
  return `said/${principal.id}/${digestText(key)}`;
}

/** Deltas of one request; more come in further ones. */
export const importDeltasMax = 500;

async function importOne(kb: Kb, caller: Caller, delta: unknown): Promise<Result<object, Failure>> {
  const { kind, payload, dedupe_key: key } = isJsonObject(delta) ? delta : {};
  if (typeof kind !== 'string' || !isJsonObject(payload))
    return err(failure('InvalidDelta', 'a delta has a kind and a payload'));
  return kb.propose(
    { kind, payload, ...(typeof key === 'string' ? { dedupe_key: ownKey(caller, key) } : {}) },
    { ...byOf(caller), scope: 'operator', kb_write: true },
  );
}

/** A delta that cannot be taken; anything else ends the import. */
function isRefusal({ code }: Failure): boolean {
  return code === 'InvalidDelta' || code === 'LimitExceeded' || code === 'CapabilityDenied';
}

function byOf({ principal }: Caller): { readonly actor: string; readonly provenance: { by: string; uid: number } } {
  return { actor: principal.id, provenance: { by: principal.name, uid: principal.uid } };
}
