/**
 * The OpenAI dialect, which vLLM, the server of llama.cpp, OpenRouter and many others speak too: chat completions and embeddings.
 */
import { type JsonObject, type JsonValue, isJsonObject, ok, parseJson } from '@runloop/core';
import type { CompletionRequest, Message, ToolCall } from '../request.ts';
import {
  argumentsOf,
  brokeOff,
  callId,
  count,
  type Dialect,
  errorIn,
  finishOf,
  first,
  list,
  malformed,
  object,
  parseObject,
  type StreamGatherer,
  text,
  vectorsOf,
  type Told,
  tokens,
  usageFrom,
} from './dialect.ts';

export const openai: Dialect = {
  version: '/v1',
  secretHeader: 'authorization',
  secretPrefix: 'Bearer ',
  headers: {},
  framing: 'events',
  complete: (request, model, maxTokens) => ({
    path: '/chat/completions',
    body: JSON.stringify(encode(request, model, maxTokens)),
  }),
  decode(body, bound) {
    const parsed = parseObject(body);
    if (!parsed.ok) return parsed;
    const choice = first(parsed.value['choices']);
    const error = errorIn(parsed.value['error'], choice['error']);
    if (error !== undefined) return brokeOff(error);
    if (!isJsonObject(choice['message'])) return malformed('choices[0].message is missing');
    const calls = list(choice['message']['tool_calls']).map((one, index): ToolCall => {
      const { id, function: called } = object(one);
      const { name, arguments: args } = object(called);
      return { id: text(id) || callId(index), name: text(name), arguments: text(args) };
    });
    return ok({
      text: text(choice['message']['content']),
      tool_calls: calls,
      finish_reason: finishOf(text(choice['finish_reason']), {}, calls.length > 0),
      usage: usageFrom(usageOf(parsed.value['usage']), bound),
      model_version: text(parsed.value['model']),
    });
  },
  gather,
  embed: (texts, model) => ({ path: '/embeddings', body: JSON.stringify({ model, input: texts }) }),
  decodeEmbeddings(body, texts, bound) {
    const parsed = parseObject(body);
    if (!parsed.ok) return parsed;
    const vectors = vectorsOf(
      list(parsed.value['data']).map((one) => object(one)['embedding']),
      texts,
    );
    return vectors.ok
      ? ok({ vectors: vectors.value, tokens_in: usageOf(parsed.value['usage'])?.tokens_in ?? bound })
      : vectors;
  },
  isUsedUp: (quote) => /insufficient_quota|billing_hard_limit/.test(quote),
};

/** Models of OpenAI's that refuse `max_tokens`; what they think counts towards theirs. */
const saysCompletionTokens = /^(?:o\d|gpt-[5-9])/;

function encode(request: CompletionRequest, model: string, maxTokens: number): object {
  const { temperature, top_p, seed, stop, tools, response_format, stream } = request;
  return {
    ...request.provider_options,
    model,
    messages: request.messages.map(encodeMessage),
    [saysCompletionTokens.test(model) ? 'max_completion_tokens' : 'max_tokens']: maxTokens,
    temperature,
    top_p,
    seed,
    stop,
    response_format,
    tools: tools?.map(({ name, description, parameters }) => ({
      type: 'function',
      function: { name, description, parameters },
    })),
    ...(stream === true ? { stream: true, stream_options: { include_usage: true } } : {}),
  };
}

function encodeMessage({ role, content, tool_calls, tool_call_id }: Message): object {
  return {
    role,
    content:
      typeof content === 'string'
        ? content
        : content.map((part) =>
            part.type === 'text'
              ? { type: 'text', text: part.text }
              : { type: 'image_url', image_url: { url: `data:${part.media_type};base64,${part.data_base64}` } },
          ),
    tool_calls: tool_calls?.map(({ id, name, arguments: args }) => ({
      id,
      type: 'function',
      // Servers that put it into a template want an object's text, also where there are no arguments.
      function: { name, arguments: args === '' ? JSON.stringify(argumentsOf(args)) : args },
    })),
    tool_call_id,
  };
}

function usageOf(value: JsonValue | undefined): Told | undefined {
  if (!isJsonObject(value)) return undefined;
  return { tokens_in: tokens(value['prompt_tokens']), tokens_out: tokens(value['completion_tokens']) };
}

function gather(): StreamGatherer {
  let whole = '';
  let finish = '';
  let version = '';
  let usage: Told | undefined;
  let done = false;
  const calls: { id: string; name: string; arguments: string }[] = [];
  const takeCall = (piece: JsonObject): boolean => {
    const id = text(piece['id']);
    // Where no place is given, an id begins the next call.
    const index = typeof piece['index'] !== 'number' ? calls.length - (id === '' ? 1 : 0) : count(piece['index']);
    if (index < 0 || index > calls.length) return false;
    const call = (calls[index] ??= { id: '', name: '', arguments: '' });
    if (id !== '' && call.id !== '' && id !== call.id) return false;
    call.id ||= id;
    call.name += text(object(piece['function'])['name']);
    call.arguments += text(object(piece['function'])['arguments']);
    return true;
  };
  return {
    take(data) {
      if (data === '[DONE]') {
        done = true;
        return ok('');
      }
      const parsed = parseJson(data);
      if (!parsed.ok || !isJsonObject(parsed.value)) return malformed('a piece of the stream is not JSON');
      const choice = first(parsed.value['choices']);
      const error = errorIn(parsed.value['error'], choice['error']);
      if (error !== undefined) return brokeOff(error);
      usage = usageOf(parsed.value['usage']) ?? usage;
      version = text(parsed.value['model']) || version;
      finish = text(choice['finish_reason']) || finish;
      const delta = object(choice['delta']);
      for (const piece of list(delta['tool_calls']))
        if (!takeCall(object(piece))) return malformed('tool calls of the stream are out of order');
      const more = text(delta['content']);
      whole += more;
      return ok(more);
    },
    end(bound) {
      if (!done && finish === '') return malformed('the stream ended before it was done');
      const named = calls.map((call, index) => ({ ...call, id: call.id || callId(index) }));
      const finish_reason = finishOf(finish, {}, named.length > 0);
      return ok({
        text: whole,
        tool_calls: named,
        finish_reason,
        usage: usageFrom(usage, bound),
        model_version: version,
      });
    },
  };
}
