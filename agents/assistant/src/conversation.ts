/**
 * The conversation with the model, kept within a size.
 *
 * 1. What a tool answered is data: it stands between marks that nobody who wrote it can know, and says so.
 * 2. Where it grows over its budget, the oldest results give way first, and say that they did; calls and results stay paired.
 */
import type { JsonObject, JsonValue } from '@runloop/agent';
import { resultBytesMax } from './limits.ts';

export type Call = {
  readonly id: string;
  readonly name: string;
  readonly arguments: string;
  readonly signature?: string;
};
type Message = {
  readonly role: string;
  content: string;
  readonly tool_calls?: readonly JsonValue[];
  readonly tool_call_id?: string;
};

const trimmed = '(left out to save room; make the call again if you need it)';

export class Conversation {
  readonly #messages: Message[];
  readonly #mark: string;
  /** Results that were left out, by the key of their call. */
  readonly #dropped = new Set<string>();
  readonly #results = new Map<string, Message>();

  constructor(system: string, prompt: string, mark: string) {
    this.#mark = mark;
    this.#messages = [
      { role: 'system', content: system },
      { role: 'user', content: prompt },
    ];
  }

  user(text: string): void {
    this.#messages.push({ role: 'user', content: text });
  }

  /** Arguments that are no JSON are kept out: some providers take no other. */
  assistant(text: string, calls: readonly Call[]): void {
    const tool_calls = calls.map((call) => ({ ...call, arguments: isJson(call.arguments) ? call.arguments : '{}' }));
    this.#messages.push({ role: 'assistant', content: text, ...(calls.length === 0 ? {} : { tool_calls }) });
  }

  /** `key` names the call, so that it can be told whether its result is still there. */
  result(id: string, key: string, head: string, text: string): void {
    const bytes = text.length;
    const kept =
      bytes > resultBytesMax
        ? `${text.slice(0, resultBytesMax)}\n(cut: ${bytes - resultBytesMax} more characters)`
        : text;
    const content = `${head}\n<${this.#mark}>\n${kept.replaceAll(this.#mark, '…')}\n</${this.#mark}>`;
    const message = { role: 'tool', tool_call_id: id, content };
    this.#messages.push(message);
    this.#results.set(key, message);
    this.#dropped.delete(key);
  }

  /** A word of the loop's own about a call. */
  answer(id: string, text: string): void {
    this.#messages.push({ role: 'tool', tool_call_id: id, content: text });
  }

  /** Whether the model can still see what this call gave. */
  holds(key: string): boolean {
    return this.#results.has(key) && !this.#dropped.has(key);
  }

  /** As it is sent, in at most so many bytes where leaving out results can do that. */
  within(bytes: number): readonly JsonObject[] {
    let size = this.#messages.reduce(
      (sum, { content, tool_calls: calls }) =>
        sum + content.length + (calls === undefined ? 0 : JSON.stringify(calls).length),
      0,
    );
    for (const [key, message] of this.#results) {
      if (size <= bytes) break;
      if (this.#dropped.has(key) || message.content.length <= trimmed.length) continue;
      size -= message.content.length - trimmed.length;
      message.content = trimmed;
      this.#dropped.add(key);
    }
    return this.#messages.map((message) => ({ ...message }));
  }
}

function isJson(text: string): boolean {
  try {
    return typeof JSON.parse(text) === 'object';
  } catch {
    return false;
  }
}
