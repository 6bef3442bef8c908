/**
 * JSON Schemas (2020-12) of the kinds that the daemon itself writes, by version 1 of each.
 *
 * What is proposed is checked before it is written (schemas.ts). What the daemon writes is checked here when the ledger is
 * verified: a misfit is a defect of the program that wrote it, not tampering. Members of newer versions are kept (A9).
 */
import { kindSchemas } from './schemas.ts';

const words = { type: 'string' } as const;
const whole = { type: 'integer' } as const;
const count = { type: 'integer', minimum: 0 } as const;
const yesNo = { type: 'boolean' } as const;
const map = { type: 'object' } as const;
const list = { type: 'array' } as const;
const digest = { type: 'string', pattern: '^[0-9a-f]{64}$' } as const;
const oneOf = (...values: string[]): object => ({ enum: values });

type Members = { readonly [name: string]: object };

function has(required: Members, optional: Members = {}): object {
  return { type: 'object', required: Object.keys(required), properties: { ...required, ...optional } };
}

/** An event of a run: what every one has, and the shape of its `meta`. */
function ofRun(required: Members, optional: Members = {}): object {
  return has(
    {
      run_id: words,
      opening_id: words,
      level: oneOf('error', 'warn', 'info', 'debug', 'trace'),
      message: words,
      meta: has(required, optional),
    },
    { seq: { type: 'integer', minimum: 1 } },
  );
}

const attempt = { node: words, attempt: count };
const call = { ...attempt, index: count, call: words, op: words };
const spent = {
  node: words,
  attempt: count,
  agent: words,
  provider: words,
  model: words,
  tokens_in: count,
  tokens_out: count,
  usd_nano: count,
};

const overrun = { provider: words, model: words, used: map, reserved: map, frozen: { type: 'array', items: words } };

const runKinds: { readonly [kind: string]: object } = {
  'run.accepted': ofRun(
    {
      name: words,
      params: map,
      seed: words,
      opening: map,
      agents: map,
      engine: {},
      on_confirm: oneOf('wait', 'deny'),
      actor: words,
    },
    { priority: whole },
  ),
  'run.started': ofRun({}),
  'run.waiting': ofRun({ reason: words }),
  'run.paused': ofRun({ by: words }),
  'run.resumed': ofRun({}, { by: words, steps: count }),
  'run.recovered': ofRun({ boot: words }),
  'run.finished': ofRun(
    { state: oneOf('succeeded', 'failed', 'cancelled'), duration_ms: count, tokens: count, usd_nano: count },
    { reason: words },
  ),
  'run.trace': ofRun({}),
  'node.ready': ofRun({ node: words }),
  'node.started': ofRun({ ...attempt, agent: words }),
  'node.retrying': ofRun({ ...attempt, delay_ms: count, reason: words }),
  'node.waiting': ofRun({ ...attempt, for: oneOf('approval', 'budget', 'timer', 'operator') }, { action: words }),
  'node.finished': ofRun(
    { node: words, state: oneOf('succeeded', 'failed', 'skipped', 'cancelled') },
    {
      attempt: count,
      code: words,
      reason: words,
      retryable: yesNo,
      outputs: map,
      duration_ms: count,
      fuel: count,
      memory_bytes: count,
    },
  ),
  'effect.intent': ofRun({ ...call, class: words, args_hash: digest, args: {} }),
  'effect.result': ofRun(call, { ok: yesNo, value: {}, error: map, cost: map }),
  'artifact.created': ofRun({ node: words, port: words, type: words, digest, bytes: count }),
  'model.called': ofRun({ ...spent, cache: words, latency_ms: { type: 'number' } }),
  // Of a call that was lost nobody may know who would have served it.
  'budget.settled': ofRun(
    { node: words, attempt: count, tokens_in: count, tokens_out: count, usd_nano: count },
    { agent: words, provider: words, model: words, why: words },
  ),
  'budget.exhausted': ofRun({}),
  'budget.raised': ofRun({}),
  'budget.overrun': ofRun({ ...attempt, agent: words, ...overrun }),
  'tool.called': ofRun({ node: words }),
  'action.requested': ofRun(
    { action: words, node: words, op: words, hash: words },
    { what: {}, args: {}, expires_ms: whole },
  ),
  'action.decided': ofRun({ action: words, decision: words, by: words }),
  'cap.audit': ofRun({ agent: words, cap: words, op: words, decision: words, reason: words }),
};

/** A model that was tried by hand, in no run. */
const tested = { agent: words, provider: words, model: words, tokens_in: count, tokens_out: count, usd_nano: count };

const hostKinds: { readonly [kind: string]: object } = {
  'email.sent': has({ to: list, subject: words, body: digest, from: words, message_id: words }),
  'mailbox.sent': has({ to: words, from: words, type: words, value: {}, bytes: count, call: words }),
  'mailbox.received': has({ agent: words, call: words, messages: { type: 'array', items: count } }),
  'agent.installed': has({ name: words, version: words, digest, signer: words, key: words }),
  'agent.removed': has({ name: words }, { version: words }),
  'agent.quarantined': has({ agent: words, until_ms: count, code: words, faults: count }),
  'agent.released': has({ agent: words }),
  'opening.trusted': has({ digest: words, name: words }),
  'opening.distrusted': has({ digest: words }),
  'declassifier.trusted': has({ digest: words, name: words }),
  'declassifier.distrusted': has({ digest: words }),
  'token.issued': has({ name: words, can: { type: 'array', items: words } }, { expires_ms: count }),
  'token.revoked': has({ name: words }),
  'secrets.put': has({ id: words }),
  'secrets.deleted': has({ id: words }),
  'model.tested': has(tested),
  'model.test_unanswered': has(tested),
  'model.test_overrun': has({ agent: words, ...overrun }),
  'budget.thawed': has({ key: words }),
  'subject.forgotten': has({
    subject: digest,
    events: { type: 'array', items: count },
    files: { type: 'array', items: digest },
    runs: list,
  }),
  'backup.created': has({ path: words, events: count, chain: digest, bytes: count }),
  'ledger.restored': has({ from: words, events: count, before: words }),
  'schema.migrated': has({ from: count, to: count }),
};

/** The schema of every kind that this version knows. */
export const allSchemas: { readonly [kind: string]: object } = {
  ...Object.fromEntries(Object.entries(kindSchemas).map(([kind, { schema }]) => [kind, schema])),
  ...runKinds,
  ...hostKinds,
};
