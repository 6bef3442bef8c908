/**
 * The validator between whoever wants to write knowledge and the ledger: a refusal names the rule that was broken.
 *
 * Checked in order: kind, kb_write, scope, schema, size, evidence. What passes becomes a draft whose provenance this fills.
 */
import {
  type Failure,
  type JsonObject,
  type Result,
  canonicalJson,
  eventLevelsMax,
  err,
  failure,
  inlineBytesMax,
  ok,
} from '@runloop/core';
import { createSchemaCheck } from './check-schema.ts';
import type { EventDraft } from '../ledger/event.ts';
import { evidenceMax } from '../limits.ts';
import { kindSchemas } from './schemas.ts';

/** What an agent or a person asks to have written. */
export type StateDelta = {
  readonly kind: string;
  readonly payload: JsonObject;
  /** Ids of events that this rests on. */
  readonly evidence?: readonly number[] | undefined;
  readonly dedupe_key?: string | undefined;
  /** Defaults to the proposer's scope. */
  readonly scope?: string | undefined;
};

/** Who proposes, and what it may write: filled by the daemon, never by the proposer. */
export type Proposer = {
  readonly actor: string;
  readonly scope: string;
  /** True: every domain. A list: those. */
  readonly kb_write: boolean | readonly string[];
  readonly ts_ms: number;
  readonly trace_id?: string | undefined;
  /** run, node, agent, agent_digest, model, model_version, inputs, labels, as far as they apply. */
  readonly provenance: JsonObject;
};

export type Validator = (delta: StateDelta, by: Proposer) => Result<EventDraft, Failure>;

const check = createSchemaCheck(
  Object.fromEntries(Object.entries(kindSchemas).map(([kind, { schema }]) => [kind, schema])),
);

/** `exists` says whether the ledger has an event of this id. */
export function createValidator(exists: (id: number) => boolean): Validator {
  const refuse = (rule: string, message: string, hint: string): Result<never, Failure> =>
    err(
      failure(rule === 'kb_write' ? 'CapabilityDenied' : 'InvalidDelta', `${rule}: ${message}`, {
        hint,
        details: { rule },
      }),
    );
  return (delta, by) => {
    const known = Object.hasOwn(kindSchemas, delta.kind) ? kindSchemas[delta.kind] : undefined;
    if (known === undefined)
      return refuse('kind', `"${delta.kind}" cannot be proposed`, `Kinds: ${Object.keys(kindSchemas).join(', ')}.`);
    const may = by.kb_write === true || (Array.isArray(by.kb_write) && by.kb_write.includes(known.domain));
    if (!may)
      return refuse(
        'kb_write',
        `${by.actor} may not write "${known.domain}"`,
        `Grant kb_write = ["${known.domain}"] in its policy.caps.`,
      );
    const scope = delta.scope ?? by.scope;
    if (scope !== by.scope && !scope.startsWith(`${by.scope}/`))
      return refuse('scope', `"${scope}" is outside of "${by.scope}"`, 'Leave the scope out, or narrow it.');
    const misfit = check(delta.kind, delta.payload);
    if (misfit !== undefined) return refuse('schema', misfit, 'Fix the payload; docs/kb.md lists its members.');
    const canonical = canonicalJson(delta.payload, eventLevelsMax);
    if (!canonical.ok) return refuse('schema', `${canonical.error.path}: ${canonical.error.why}`, 'Send plain JSON.');
    if (canonical.value.length > inlineBytesMax)
      return refuse(
        'size',
        `the payload has ${canonical.value.length} characters, the limit is ${inlineBytesMax}`,
        'Store the content as a blob and name its digest.',
      );
    const evidence = delta.evidence ?? [];
    if (evidence.length > evidenceMax)
      return refuse('evidence', `${evidence.length} ids, the limit is ${evidenceMax}`, 'Name the events that matter.');
    const missing = evidence.find((id) => !Number.isSafeInteger(id) || !exists(id));
    if (missing !== undefined)
      return refuse('evidence', `there is no event ${missing}`, 'Name events that are on the ledger.');
    return ok({
      ts_ms: by.ts_ms,
      actor: by.actor,
      kind: delta.kind,
      scope,
      payload: delta.payload,
      provenance: {
        ...by.provenance,
        ...(evidence.length > 0 ? { evidence: [...evidence] } : {}),
        schema_version: known.version,
      },
      dedupe_key: delta.dedupe_key,
      trace_id: by.trace_id,
    });
  };
}
