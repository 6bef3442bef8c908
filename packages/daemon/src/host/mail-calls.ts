/**
 * Mail: what an agent may send after a person has said yes.
 *
 * 1. A message is drafted on the ledger before it leaves, and `email.sent` stands there only once the server took it.
 * 2. Without a transport it stays the draft, and the answer says that nothing was sent.
 * 3. No field adds a header or a recipient to what was shown. The message id comes from the call's id: were a message sent
 *    twice, its reader could tell.
 */
import {
  type Clock,
  failure,
  type Failure,
  type JsonObject,
  type JsonValue,
  ok,
  type Result,
  err,
} from '@runloop/core';
import type { Kb } from '@runloop/kb';
import type { CallScope, Performed } from '../runs/ports.ts';
import type { Values } from '../runs/values.ts';
import { answered, provenanceOf, refused } from './kb-calls.ts';
import type { MailTransport } from './mail-transport.ts';

/** Recipients of one message. */
export const mailRecipientsMax = 100;

export type MailCallDeps = {
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly kb: Pick<Kb, 'propose' | 'append'>;
  readonly values: Values;
  readonly mail?: MailTransport | undefined;
};

type Message = { readonly to: readonly string[]; readonly subject: string; readonly body: string };

/** Undefined where nobody knows whether the message went out. */
export async function performMail(
  deps: MailCallDeps,
  args: JsonObject,
  scope: CallScope,
  signal: AbortSignal,
): Promise<Performed | undefined> {
  const read = messageOf(args, deps.mail === undefined ? draftAddress : address);
  if (!read.ok) return refused(read.error);
  const { to, subject, body } = read.value;
  const from = scope.caps.mail?.from ?? '';
  const { mail } = deps;
  if (mail?.from !== undefined && mail.from !== from) {
    const hint = `mail.from in config.yaml is ${mail.from}`;
    return refused(failure('CapabilityDenied', `this host sends mail as ${mail.from}, not as ${from}`, { hint }));
  }
  const stored = await deps.values.put(body);
  if (!stored.ok) return refused(stored.error);
  const payload = { to, subject, body: stored.value };
  const drafted = await deps.kb.propose(
    { kind: 'email.drafted', payload, evidence: scope.evidence, dedupe_key: `call/${scope.callId}` },
    {
      actor: `agent:${scope.bundle.name}`,
      scope: `run/${scope.traceId}`,
      kb_write: true,
      trace_id: scope.traceId,
      provenance: provenanceOf(scope),
    },
  );
  if (!drafted.ok) return refused(drafted.error);
  const draft: JsonObject = { event_id: drafted.value.event_id, to, subject };
  if (mail === undefined)
    return answered({ ...draft, sent: false, dry_run: true, reason: 'no mail transport is configured' });
  const messageId = `<${scope.callId}@${from.split('@')[1] ?? 'localhost'}>`;
  const sent = await mail.send({ from, to, subject, body, messageId, date: new Date(deps.clock.nowMs()) }, signal);
  if (sent === undefined) return undefined;
  if (!sent.ok) return refused(sent.error);
  const receipt: JsonObject = { ...sent.value, message_id: messageId };
  const event = {
    ts_ms: deps.clock.nowMs(),
    actor: `agent:${scope.bundle.name}`,
    kind: 'email.sent',
    scope: `run/${scope.traceId}`,
    payload: { ...payload, from, ...receipt },
    provenance: { ...provenanceOf(scope), evidence: [drafted.value.event_id] },
    dedupe_key: `call/${scope.callId}/sent`,
    trace_id: scope.traceId,
  };
  const recorded = await deps.kb.append([event]);
  return recorded.ok ? answered({ ...draft, sent: true, ...receipt }) : refused(recorded.error);
}

const address = /^[^\s<>()[\]\\,:;"@]{1,64}@[^\s<>()[\]\\,:;"@]{1,253}$/;
/** A draft may name somebody whose address is not known yet. */
const draftAddress = /^[^\s<>()[\]\\,:;"@]{1,64}(?:@[^\s<>()[\]\\,:;"@]{1,253})?$/;

function messageOf(args: JsonObject, form: RegExp): Result<Message, Failure> {
  const wrong = (why: string): Result<never, Failure> => err(failure('InvalidParams', `mail.send: ${why}`));
  const { subject, body } = args;
  const to = (Array.isArray(args['to']) ? (args['to'] as readonly JsonValue[]) : [args['to']]).filter(
    (one): one is string => typeof one === 'string' && one !== '',
  );
  if (to.length === 0 || typeof subject !== 'string' || typeof body !== 'string')
    return wrong('it needs { to, subject, body }');
  if (to.length > mailRecipientsMax) return wrong(`more than ${mailRecipientsMax} recipients`);
  const odd = to.find((one) => !form.test(one));
  if (odd !== undefined)
    return wrong(`${JSON.stringify(odd.slice(0, 100))} is no plain address such as name@example.com`);
  if (/[\r\n\0]/.test(subject)) return wrong('the subject must be one line');
  return ok({ to, subject, body });
}
