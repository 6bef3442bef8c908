/**
 * The conversation with the model, kept within a size.
 *
 * 1. What a tool answered is data: it stands between marks that nobody who wrote it can know, and says so.
 * 2. Where it grows over its budget, the oldest results give way first, and say that they did; calls and results stay paired.
 */
import type { JsonObject, JsonValue } from '@runloop/agent';
import { argumentCharsMax, callsKeptMax, saidCharsMax } from './limits.ts';

export type Call = {
  readonly id: string;
  readonly name: string;
  readonly arguments: string;
  readonly signature?: string;
};
type Message = {
  readonly role: string;
  content: string;
  tool_calls?: readonly JsonValue[];
  readonly tool_call_id?: string;
};

const trimmed = '(left out to save room; make the call again if you need it)';

export class Conversation {
  readonly #messages: Message[];
  readonly #mark: string;
  /** Results that are there whole, oldest first, and the keys of those that the same call would give again. */
  readonly #results = new Map<Message, string>();
  readonly #fresh = new Set<string>();

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

  /** Arguments that are no JSON are kept out, for some providers take no other; so are those that are far too long. */
  assistant(text: string, calls: readonly Call[]): void {
    const tool_calls = calls.map((call) => ({
      ...call,
      arguments: call.arguments.length <= argumentCharsMax && isJson(call.arguments) ? call.arguments : '{}',
    }));
    this.#messages.push({
      role: 'assistant',
      content: cut(text, saidCharsMax),
      ...(calls.length === 0 ? {} : { tool_calls }),
    });
  }

  /** `key` names the call, so that it can be told whether its result is still there; of it at most `most` is kept. */
  result(id: string, key: string, head: string, text: string, most: number): void {
    const kept = text.length > most ? `${cut(text, most)}\n(cut: ${text.length - most} more characters)` : text;
    const content = `${head}\n<${this.#mark}>\n${kept.replaceAll(this.#mark, '…')}\n</${this.#mark}>`;
    const message = { role: 'tool', tool_call_id: id, content };
    this.#messages.push(message);
    this.#results.set(message, key);
    this.#fresh.add(key);
  }

  /** A word of the loop's own about a call. */
  answer(id: string, text: string): void {
    this.#messages.push({ role: 'tool', tool_call_id: id, content: text });
  }

  /** Whether the model can still see what this call gave, and would give again. */
  holds(key: string): boolean {
    return this.#fresh.has(key);
  }

  /** Something was changed: what was read may read otherwise now. */
  stale(): void {
    this.#fresh.clear();
  }

  /** As it is sent, in at most so many bytes where leaving out results can do that. */
  within(bytes: number): readonly JsonObject[] {
    let size = this.#messages.reduce(
      (sum, { content, tool_calls: calls }) =>
        sum + content.length + (calls === undefined ? 0 : JSON.stringify(calls).length),
      0,
    );
    for (const [message, key] of this.#results) {
      if (size <= bytes) break;
      if (message.content.length <= trimmed.length) continue;
      size -= message.content.length - trimmed.length;
      message.content = trimmed;
      this.#results.delete(message);
      this.#fresh.delete(key);
    }
    // Then what it said itself, but for its last word.
    for (const message of this.#messages.slice(0, -callsKeptMax - 1)) {
      if (size <= bytes) break;
      const { tool_calls: calls } = message;
      if (calls === undefined) continue;
      size -= message.content.length + JSON.stringify(calls).length;
      message.content = '';
      message.tool_calls = calls.map((call) => ({ ...(call as JsonObject), arguments: '{}' }));
      size += JSON.stringify(message.tool_calls).length;
    }
    return this.#messages.map((message) => ({ ...message }));
  }
}

/** The beginning of a text, without half a character at its end. */
export function cut(text: string, most: number): string {
  return text.length <= most ? text : text.slice(0, most).replace(/[\ud800-\udbff]$/, '');
}

function isJson(text: string): boolean {
  try {
    return typeof JSON.parse(text) === 'object';
  } catch {
    return false;
  }
}
