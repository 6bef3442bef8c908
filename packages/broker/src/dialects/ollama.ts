/**
 * Ollama's own dialect: `/api/chat`, a line of JSON for each piece of a stream. Its calls of tools have no ids.
 */
import { type JsonObject, type JsonValue, ok } from '@runloop/core';
import type { CompletionRequest, Message, ToolCall } from '../request.ts';
import {
  argumentsOf,
  brokeOff,
  callId,
  decodeOne,
  type Dialect,
  errorIn,
  finishOf,
  list,
  malformed,
  object,
  parseObject,
  partsOf,
  schemaOf,
  type StreamGatherer,
  text,
  textOf,
  toolNames,
  vectorsOf,
  type Told,
  tokens,
  usageFrom,
} from './dialect.ts';

export const ollama: Dialect = {
  version: '/api',
  secretHeader: 'authorization',
  secretPrefix: 'Bearer ',
  headers: {},
  framing: 'lines',
  complete: (request, model, maxTokens) => ({
    path: '/chat',
    body: JSON.stringify(encode(request, model, maxTokens)),
  }),
  decode: decodeOne(gather),
  gather,
  embed: (texts, model) => ({ path: '/embed', body: JSON.stringify({ model, input: texts }) }),
  decodeEmbeddings(body, texts, bound) {
    const parsed = parseObject(body);
    if (!parsed.ok) return parsed;
    const vectors = vectorsOf(list(parsed.value['embeddings']), texts);
    return vectors.ok
      ? ok({ vectors: vectors.value, tokens_in: tokens(parsed.value['prompt_eval_count']) ?? bound })
      : vectors;
  },
  isUsedUp: () => false,
};

function encode(request: CompletionRequest, model: string, maxTokens: number): object {
  const { temperature, top_p, seed, stop, tools, stream, provider_options: given = {} } = request;
  const { think, keep_alive, ...options } = given;
  const schema = schemaOf(request);
  const names = toolNames(request.messages);
  return {
    model,
    messages: request.messages.map((message) => encodeMessage(message, names)),
    stream: stream === true,
    ...(schema === undefined ? {} : { format: schema === true ? 'json' : schema }),
    tools: tools?.map(({ name, description, parameters }) => ({
      type: 'function',
      function: { name, description, parameters },
    })),
    think,
    keep_alive,
    options: { ...options, temperature, top_p, seed, stop, num_predict: maxTokens },
  };
}

function encodeMessage(message: Message, names: ReadonlyMap<string, string>): object {
  const { role, content, tool_calls: calls, tool_call_id: id = '' } = message;
  const images = partsOf(content).flatMap((part) => (part.type === 'image' ? [part.data_base64] : []));
  return {
    role,
    content: textOf(content),
    ...(images.length === 0 ? {} : { images }),
    ...(role === 'tool' ? { tool_name: names.get(id) ?? id } : {}),
    tool_calls: calls?.map(({ name, arguments: args }) => ({ function: { name, arguments: argumentsOf(args) } })),
  };
}

function callOf(given: JsonValue, index: number): ToolCall {
  const { name, arguments: args } = object(object(given)['function']);
  return { id: callId(index), name: text(name), arguments: JSON.stringify(args ?? {}) };
}

function usageOf(piece: JsonObject): Told | undefined {
  if (piece['prompt_eval_count'] === undefined && piece['eval_count'] === undefined) return undefined;
  return { tokens_in: tokens(piece['prompt_eval_count']), tokens_out: tokens(piece['eval_count']) };
}

function gather(): StreamGatherer {
  let whole = '';
  let finish = '';
  let version = '';
  let usage: Told | undefined;
  let done = false;
  const calls: ToolCall[] = [];
  return {
    take(line) {
      const parsed = parseObject(line);
      if (!parsed.ok) return parsed;
      const piece = parsed.value;
      const error = errorIn(piece['error']);
      if (error !== undefined) return brokeOff(error);
      const message = object(piece['message']);
      for (const call of list(message['tool_calls'])) calls.push(callOf(call, calls.length));
      version = text(piece['model']) || version;
      if (piece['done'] === true) {
        done = true;
        finish = text(piece['done_reason']) || 'stop';
        usage = usageOf(piece);
      }
      const more = text(message['content']);
      whole += more;
      return ok(more);
    },
    end(bound) {
      if (!done) return malformed('it ended before it was done');
      const finish_reason = finishOf(finish, {}, calls.length > 0);
      return ok({
        text: whole,
        tool_calls: calls,
        finish_reason,
        usage: usageFrom(usage, bound),
        model_version: version,
      });
    },
  };
}
