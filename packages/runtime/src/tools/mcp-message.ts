/** What both ways to an MCP server say and hear. */
import {
  type Failure,
  type JsonObject,
  type JsonValue,
  type Result,
  err,
  failure,
  isJsonObject,
  ok,
} from '@runloop/core';

/** As the operator names it. */
export type McpServer =
  | { readonly type: 'program'; readonly command: string; readonly args: readonly string[] }
  | { readonly type: 'url'; readonly url: string };

export type McpCall = { readonly tool: string; readonly arguments: JsonObject };

export const protocolVersion = '2025-06-18';
export const clientHello: JsonObject = {
  method: 'initialize',
  params: { protocolVersion, capabilities: {}, clientInfo: { name: 'runloop', version: '1' } },
};

/** The tool's structured content where it gives one, otherwise its text. */
export function answerOf(tool: string, result: JsonValue): Result<JsonValue, Failure> {
  const given = isJsonObject(result) ? result : {};
  const content = Array.isArray(given['content']) ? (given['content'] as readonly JsonValue[]) : [];
  const text = content.flatMap((part) =>
    isJsonObject(part) && typeof part['text'] === 'string' ? [part['text']] : [],
  );
  if (given['isError'] === true) return err(failure('ProviderFailed', `${tool}: ${text.join('\n').slice(0, 1000)}`));
  return ok(given['structuredContent'] ?? text.join('\n'));
}
