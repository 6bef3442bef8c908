/**
 * The dialect of Anthropic's Messages API. It has no embeddings and no seed.
 *
 * Tool results are parts of the user's turn, and turns alternate: neighbours of one role are one message.
 */
import { type JsonObject, type JsonValue, isJsonObject, ok } from '@runloop/core';
import type { CompletionRequest, Message, ToolCall } from '../request.ts';
import {
  argumentsOf,
  brokeOff,
  count,
  type Dialect,
  finishOf,
  malformed,
  object,
  parseObject,
  partsOf,
  schemaOf,
  type StreamGatherer,
  systemOf,
  text,
  textOf,
  type Told,
  tokens,
  usageFrom,
} from './dialect.ts';

const reasons = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  max_tokens: 'length',
  tool_use: 'tool_calls',
  refusal: 'content_filter',
};

export const anthropic: Dialect = {
  version: '/v1',
  secretHeader: 'x-api-key',
  secretPrefix: '',
  headers: { 'anthropic-version': '2023-06-01' },
  framing: 'events',
  complete: (request, model, maxTokens) => ({
    path: '/messages',
    body: JSON.stringify(encode(request, model, maxTokens)),
  }),
  decode(body, bound) {
    const parsed = parseObject(body);
    if (!parsed.ok) return parsed;
    const { content, stop_reason, usage, model, type, error } = parsed.value;
    if (type === 'error') return brokeOff(error ?? null);
    if (!Array.isArray(content)) return malformed('content is missing');
    const blocks = content.map(object);
    const calls = blocks
      .filter(({ type }) => type === 'tool_use')
      .map(({ id, name, input }): ToolCall => ({
        id: text(id),
        name: text(name),
        arguments: JSON.stringify(input ?? {}),
      }));
    return ok({
      text: blocks.map((block) => (block['type'] === 'text' ? text(block['text']) : '')).join(''),
      tool_calls: calls,
      finish_reason: finishOf(text(stop_reason), reasons, calls.length > 0),
      usage: usageFrom(usageOf(usage, undefined), bound),
      model_version: text(model),
    });
  },
  gather,
  embed: undefined,
  decodeEmbeddings: () => malformed('this provider has no embeddings'),
  isUsedUp: (quote) => /credit balance is too low|billing_error/.test(quote),
};

function encode(request: CompletionRequest, model: string, maxTokens: number): object {
  const { temperature, top_p, stop, tools, stream } = request;
  const schema = schemaOf(request);
  return {
    ...request.provider_options,
    model,
    max_tokens: maxTokens,
    system: systemOf(request.messages),
    messages: turnsOf(request.messages),
    temperature,
    top_p,
    stop_sequences: stop,
    tools: tools?.map(({ name, description, parameters }) => ({ name, description, input_schema: parameters })),
    ...(isJsonObject(schema) ? { output_config: { format: { type: 'json_schema', schema } } } : {}),
    ...(stream === true ? { stream: true } : {}),
  };
}

function turnsOf(messages: readonly Message[]): readonly object[] {
  const turns: { role: string; content: object[] }[] = [];
  for (const message of messages) {
    if (message.role === 'system') continue;
    const role = message.role === 'assistant' ? 'assistant' : 'user';
    const content = blocksOf(message);
    const last = turns.at(-1);
    if (last?.role === role) last.content.push(...content);
    else turns.push({ role, content });
  }
  return turns;
}

function blocksOf({ role, content, tool_calls: calls = [], tool_call_id }: Message): object[] {
  if (role === 'tool') return [{ type: 'tool_result', tool_use_id: tool_call_id, content: textOf(content) }];
  const said = partsOf(content).map((part) =>
    part.type === 'text'
      ? { type: 'text', text: part.text }
      : { type: 'image', source: { type: 'base64', media_type: part.media_type, data: part.data_base64 } },
  );
  const called = calls.map(({ id, name, arguments: args }) => ({
    type: 'tool_use',
    id,
    name,
    input: argumentsOf(args),
  }));
  return [...said, ...called];
}

/** Tokens that were written to or read from its prompt cache are tokens of the prompt. */
function usageOf(value: JsonValue | undefined, before: Told | undefined): Told | undefined {
  if (!isJsonObject(value)) return before;
  const read = ['input_tokens', 'cache_creation_input_tokens', 'cache_read_input_tokens'].map((key) => value[key]);
  return {
    tokens_in: most(tokens(...read), before?.tokens_in),
    tokens_out: most(tokens(value['output_tokens']), before?.tokens_out),
  };
}

function most(now: number | undefined, before: number | undefined): number | undefined {
  return now === undefined || before === undefined ? (now ?? before) : Math.max(now, before);
}

function gather(): StreamGatherer {
  let whole = '';
  let finish = '';
  let version = '';
  let usage: Told | undefined;
  let done = false;
  const calls = new Map<number, { id: string; name: string; arguments: string }>();
  const start = (index: number, block: JsonObject): void => {
    if (block['type'] === 'tool_use')
      calls.set(index, { id: text(block['id']), name: text(block['name']), arguments: '' });
  };
  return {
    take(data) {
      const parsed = parseObject(data);
      if (!parsed.ok) return malformed('a piece of the stream is not JSON');
      const piece = parsed.value;
      const index = count(piece['index']);
      const delta = object(piece['delta']);
      switch (piece['type']) {
        case 'error':
          return brokeOff(piece['error'] ?? null);
        case 'message_start':
          version = text(object(piece['message'])['model']);
          usage = usageOf(object(piece['message'])['usage'], usage);
          return ok('');
        case 'content_block_start':
          start(index, object(piece['content_block']));
          return ok(takeText(text(object(piece['content_block'])['text'])));
        case 'content_block_delta': {
          const call = calls.get(index);
          if (delta['type'] === 'input_json_delta') {
            if (call === undefined) return malformed('arguments of a call that did not begin');
            call.arguments += text(delta['partial_json']);
          }
          return ok(delta['type'] === 'text_delta' ? takeText(text(delta['text'])) : '');
        }
        case 'message_delta':
          finish = text(delta['stop_reason']) || finish;
          usage = usageOf(piece['usage'], usage);
          return ok('');
        case 'message_stop':
          done = true;
          return ok('');
        default:
          // Pings, ends of blocks, and what a newer version says besides.
          return ok('');
      }
    },
    end(bound) {
      if (!done) return malformed('the stream ended before it was done');
      const named = [...calls.values()].map((call) => ({ ...call, arguments: call.arguments || '{}' }));
      const finish_reason = finishOf(finish, reasons, named.length > 0);
      return ok({
        text: whole,
        tool_calls: named,
        finish_reason,
        usage: usageFrom(usage, bound),
        model_version: version,
      });
    },
  };

  function takeText(more: string): string {
    whole += more;
    return more;
  }
}
