/**
 * Sends a reviewed draft, or records and shows it where there is no mail transport.
 *
 * 1. It sends only what a review said yes to on port `review`, unless `with.unreviewed` is true.
 * 2. `mail.send` asks for approval; the answer says whether anything was really sent.
 * 3. What was not sent is printed, never called sent; the host has recorded it as `email.drafted`.
 */
import { AgentFailure, type JsonObject, type JsonValue, defineAgent } from '@runloop/agent';

export default defineAgent({
  handle(request, host) {
    const draft = request.inputs['draft']?.[0] as JsonObject | undefined;
    if (draft === undefined) throw new AgentFailure('there is no draft on port draft', { retryable: false });
    const reviewed = request.inputs['review']?.[0] === true;
    if (!reviewed && request.with['unreviewed'] !== true)
      return result({ sent: false, dry_run: false, reason: 'the review did not pass' });
    const to = texts(draft['to']);
    const subject = text(draft['subject']);
    const body = text(draft['body']);
    const answer = host.mail.send({ to, subject, body }) as JsonObject;
    if (answer['sent'] === true)
      return result({ sent: true, dry_run: false, to, subject, message_id: answer['message_id'] ?? null });
    console.log(`Would send (no mail transport is configured):\nTo: ${to.join(', ')}\nSubject: ${subject}\n\n${body}`);
    return result({ sent: false, dry_run: true, to, subject });
  },
});

function result(value: JsonValue): { out: { type: string; value: JsonValue }[] } {
  return { out: [{ type: 'toolresult.mail.result.v1', value }] };
}

function text(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : '';
}

function texts(value: JsonValue | undefined): readonly string[] {
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : [];
}
