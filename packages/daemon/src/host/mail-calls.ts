/**
 * Mail: what an agent may send after a person has said yes.
 *
 * No transport is configured in this version: a message is drafted, kept and shown, and the answer says that nothing was sent.
 */
import { failure, type JsonObject, type JsonValue } from '@runloop/core';
import type { Kb } from '@runloop/kb';
import type { CallScope, Performed } from '../runs/ports.ts';
import type { Values } from '../runs/values.ts';
import { answered, provenanceOf, refused } from './kb-calls.ts';

export async function performMail(
  kb: Pick<Kb, 'propose'>,
  values: Values,
  args: JsonObject,
  scope: CallScope,
): Promise<Performed> {
  const to = (Array.isArray(args['to']) ? args['to'] : [args['to']]).filter(
    (one): one is string => typeof one === 'string' && one !== '',
  );
  const { subject, body } = args;
  if (to.length === 0 || typeof subject !== 'string' || typeof body !== 'string') {
    return refused(failure('InvalidParams', 'mail.send needs { to, subject, body }'));
  }
  const stored = await values.put(body);
  if (!stored.ok) return refused(stored.error);
  const drafted = await kb.propose(
    {
      kind: 'email.drafted',
      payload: { to, subject, body: stored.value },
      evidence: scope.evidence,
      dedupe_key: `call/${scope.callId}`,
    },
    {
      actor: `agent:${scope.bundle.name}`,
      scope: `run/${scope.traceId}`,
      kb_write: true,
      trace_id: scope.traceId,
      provenance: provenanceOf(scope),
    },
  );
  if (!drafted.ok) return refused(drafted.error);
  const answer: JsonValue = {
    sent: false,
    dry_run: true,
    event_id: drafted.value.event_id,
    to,
    subject,
    reason: 'no mail transport is configured',
  };
  return answered(answer);
}
