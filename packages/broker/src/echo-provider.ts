/**
 * A provider for tests and demonstrations that is plainly no model: it says back what it was told, deterministically.
 */
import { ok } from '@runloop/core';
import type { Provider } from './provider.ts';
import type { Message } from './request.ts';

const tokens = (text: string): number => Math.ceil(Buffer.byteLength(text) / 4);
const textOf = ({ content }: Message): string =>
  typeof content === 'string' ? content : content.map((part) => (part.type === 'text' ? part.text : '')).join('');

export function createEchoProvider(id: string): Provider {
  return {
    id,
    complete(request, attempt) {
      const last = request.messages.findLast(({ role }) => role === 'user');
      const said = `echo: ${last === undefined ? '' : textOf(last)}`;
      const text = Array.from(said).slice(0, attempt.maxTokens).join('');
      attempt.onFirst();
      if (request.stream === true) attempt.onDelta(text);
      const usage = {
        tokens_in: tokens(request.messages.map(textOf).join('')),
        tokens_out: Math.min(tokens(text), attempt.maxTokens),
      };
      return Promise.resolve(
        ok({ text, tool_calls: [], finish_reason: text === said ? 'stop' : 'length', usage, model_version: 'echo-1' }),
      );
    },
    embed(request) {
      const vectors = request.texts.map((text) => [
        text.length,
        Array.from(text).reduce((sum, char) => (sum * 31 + (char.codePointAt(0) ?? 0)) % 65_521, 7),
      ]);
      return Promise.resolve(ok({ vectors, tokens_in: tokens(request.texts.join('')) }));
    },
  };
}
