/**
 * One call of a tool of an MCP server that speaks over standard input and output: JSON-RPC, a message a line.
 *
 * 1. The server runs in the sandbox of commands, for this call alone, and ends with it.
 * 2. What it says is bounded, and what is no answer to us is passed over.
 */
import { createInterface } from 'node:readline';
import {
  type Clock,
  type Failure,
  type JsonObject,
  type JsonValue,
  type Result,
  err,
  failure,
  isJsonObject,
  parseJson,
} from '@runloop/core';
import { killGroup, type RunOptions, start } from '../exec/run-sandboxed.ts';
import { sandboxed } from '../exec/sandbox.ts';
import { mcpBytesMax } from '../limits.ts';
import { type McpCall, answerOf, clientHello } from './mcp-message.ts';

export type McpProgram = { readonly command: string; readonly args: readonly string[] };

export async function callMcp(
  deps: { readonly clock: Clock },
  server: McpProgram,
  call: McpCall,
  options: RunOptions,
  signal: AbortSignal,
): Promise<Result<JsonValue, Failure>> {
  if (signal.aborted) return err(failure('Cancelled', 'the call was cancelled'));
  const prepared = sandboxed(server.command, server.args, options);
  if (!prepared.ok) return prepared;
  const child = start(prepared.value, 'pipe');
  const over = Promise.withResolvers<Result<JsonValue, Failure>>();
  const fail = (code: Failure['code'], what: string): void => over.resolve(err(failure(code, what)));
  using _deadline = deps.clock.after(options.wallMsMax, () =>
    fail('DeadlineExceeded', `${server.command} did not answer within ${options.wallMsMax} ms`),
  );
  const onAbort = (): void => fail('Cancelled', 'the call was cancelled');
  signal.addEventListener('abort', onAbort, { once: true });
  const say = (message: JsonObject): void =>
    void child.stdin?.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  let bytes = 0;
  let stderr = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > mcpBytesMax) fail('OutputTooLarge', `${server.command} said more than ${mcpBytesMax} bytes`);
  });
  child.stderr?.on('data', (chunk: Buffer) => (stderr = (stderr + chunk.toString('utf8')).slice(0, 300)));
  child.stdin?.on('error', () => {});
  child.on('error', (error) =>
    fail('CapabilityDenied', `${server.command} cannot be sandboxed here: ${error.message}`),
  );
  child.on('close', () => fail('ProviderFailed', `${server.command} ended without an answer: ${stderr.trim()}`));
  const closed = new Promise((resolve) => child.on('close', resolve));
  if (child.stdout !== null) {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const message = parseJson(line);
      if (!message.ok || !isJsonObject(message.value)) return;
      const { id, result, error } = message.value;
      if (id !== 1 && id !== 2) return;
      if (error !== undefined) fail('ProviderFailed', `${server.command}: ${JSON.stringify(error).slice(0, 300)}`);
      else if (id === 2) over.resolve(answerOf(call.tool, result ?? null));
      else {
        say({ method: 'notifications/initialized' });
        say({ id: 2, method: 'tools/call', params: { name: call.tool, arguments: call.arguments } });
      }
    });
  }
  say({ id: 1, ...clientHello });
  const answer = await over.promise;
  signal.removeEventListener('abort', onAbort);
  killGroup(child);
  if (child.pid !== undefined) await closed;
  return answer;
}
