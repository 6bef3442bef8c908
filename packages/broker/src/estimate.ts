/**
 * An upper bound of a prompt's tokens, for reserving: no byte-level tokenizer makes more tokens than there are bytes.
 *
 * To the bytes come a share for what a provider's template adds to each message and tool, a flat one for having tools at
 * all, and one for each image; a model that takes more for one says so in the price table.
 */
import { toolNames } from './dialects/dialect.ts';
import type { CompletionRequest, Message } from './request.ts';

const messageTokens = 16;
export const imageTokens = 4_096;
/** What a provider tells a model of tools in its own words. */
const toolsTokens = 1_024;

export function imagesOf({ messages }: CompletionRequest): number {
  const ofOne = (content: Message['content']): number =>
    typeof content === 'string' ? 0 : content.filter(({ type }) => type === 'image').length;
  return messages.reduce((sum, { content }) => sum + ofOne(content), 0);
}

export function promptTokensMax(request: CompletionRequest): number {
  let tokens = 16;
  const names = toolNames(request.messages);
  for (const { content, tool_calls, tool_call_id: id } of request.messages) {
    tokens += messageTokens;
    // Which call it answers is said by its id, by its name or by both.
    if (id !== undefined) tokens += Buffer.byteLength(id) + Buffer.byteLength(names.get(id) ?? id);
    for (const part of typeof content === 'string' ? [{ type: 'text' as const, text: content }] : content) {
      tokens += part.type === 'image' ? imageTokens : Buffer.byteLength(part.text);
    }
    if (tool_calls !== undefined) tokens += Buffer.byteLength(JSON.stringify(tool_calls));
  }
  if (request.tools !== undefined && request.tools.length > 0) tokens += toolsTokens;
  for (const tool of request.tools ?? []) tokens += messageTokens + Buffer.byteLength(JSON.stringify(tool));
  if (request.response_format !== undefined) tokens += Buffer.byteLength(JSON.stringify(request.response_format));
  return tokens;
}
