/**
 * Reviews a draft by rules that can be stated: no model, the same verdict every time.
 */
import { AgentFailure, type JsonObject, defineAgent } from '@runloop/agent';

const wordsMaxDefault = 180;

/** Each rule gives the note of a draft that breaks it. */
const rules: readonly ((
  draft: { readonly subject: string; readonly body: string; readonly to: number },
  wordsMax: number,
) => string | undefined)[] = [
  ({ to }) => (to === 0 ? 'it is addressed to nobody' : undefined),
  ({ subject }) =>
    subject.trim() === ''
      ? 'the subject is empty'
      : subject.length > 120
        ? 'the subject is longer than 120 characters'
        : undefined,
  ({ body }) => (body.trim() === '' ? 'the body is empty' : undefined),
  ({ body }, wordsMax) => {
    const words = body.split(/\s+/).filter((word) => word !== '').length;
    return words > wordsMax ? `the body has ${words} words, more than ${wordsMax}` : undefined;
  },
  ({ subject, body }) =>
    /\{\{|\}\}|\[(?:name|recipient|your name|date|company)\]/i.test(`${subject} ${body}`)
      ? 'a placeholder was left in'
      : undefined,
  ({ subject }) => (/[\r\n]/.test(subject) ? 'the subject has a line break' : undefined),
  ({ body }) =>
    /-----BEGIN [A-Z ]*PRIVATE KEY|\bsk-[A-Za-z0-9]{20,}|\bAKIA[0-9A-Z]{16}\b/.test(body)
      ? 'the body holds what looks like a secret'
      : undefined,
];

export default defineAgent({
  handle(request) {
    const draft = request.inputs['draft']?.[0] as JsonObject | undefined;
    if (draft === undefined) throw new AgentFailure('there is no draft on port draft', { retryable: false });
    const { words_max: limit } = request.with;
    const text = (key: string): string => (typeof draft[key] === 'string' ? draft[key] : '');
    const seen = {
      subject: text('subject'),
      body: text('body'),
      to: Array.isArray(draft['to']) ? draft['to'].length : 0,
    };
    const notes = rules.flatMap((rule) => rule(seen, typeof limit === 'number' ? limit : wordsMaxDefault) ?? []);
    const ok = notes.length === 0;
    return { out: [{ type: 'critique.review.v1', value: { ok, notes } }], ok: [{ type: 'bool', value: ok }] };
  },
});
