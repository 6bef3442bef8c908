/**
 * The OpenAI dialect: requests to its JSON, answers and streamed pieces from it. Pure.
 *
 * What does not fit is a failure that says so; nothing is guessed, and no part of an answer passes for the whole.
 */
import {
  type Failure,
  type JsonObject,
  type JsonValue,
  type Result,
  err,
  failure,
  isJsonObject,
  ok,
  parseJson,
} from '@runloop/core';
import type { Answer, CompletionRequest, Message, ToolCall, Usage } from './request.ts';

export function encodeCompletion(request: CompletionRequest, model: string, maxTokens: number): string {
  const { temperature, top_p, seed, stop, tools, response_format, stream } = request;
  return JSON.stringify({
    model,
    messages: request.messages.map(encodeMessage),
    max_tokens: maxTokens,
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
  });
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
      function: { name, arguments: args },
    })),
    tool_call_id,
  };
}

const malformed = (why: string): Result<never, Failure> =>
  err(failure('ProviderFailed', `the provider's answer is malformed: ${why}`));
const object = (value: JsonValue | undefined): JsonObject => (isJsonObject(value) ? value : {});
const first = (value: JsonValue | undefined): JsonObject => (Array.isArray(value) ? object(value[0]) : {});
const text = (value: JsonValue | undefined): string => (typeof value === 'string' ? value : '');
const count = (value: JsonValue | undefined): number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0;

function usageOf(value: JsonValue | undefined): Usage | undefined {
  if (!isJsonObject(value)) return undefined;
  return { tokens_in: count(value['prompt_tokens']), tokens_out: count(value['completion_tokens']) };
}

/** `bound` stands in for a usage that the provider leaves out. */
export function decodeCompletion(body: string, bound: Usage): Result<Answer, Failure> {
  const parsed = parseJson(body);
  if (!parsed.ok || !isJsonObject(parsed.value)) return malformed(parsed.ok ? 'not an object' : parsed.error);
  const choice = first(parsed.value['choices']);
  if (!isJsonObject(choice['message'])) return malformed('choices[0].message is missing');
  const { message } = choice;
  const calls = Array.isArray(object(message)['tool_calls'])
    ? (object(message)['tool_calls'] as readonly JsonValue[])
    : [];
  return ok({
    text: text(object(message)['content']),
    tool_calls: calls.map((one): ToolCall => ({
      id: text(object(one)['id']),
      name: text(object(object(one)['function'])['name']),
      arguments: text(object(object(one)['function'])['arguments']),
    })),
    finish_reason: text(choice['finish_reason']),
    usage: usageOf(parsed.value['usage']) ?? bound,
    model_version: text(parsed.value['model']),
  });
}

/** Gathers a stream's pieces; `end` answers only after the stream said that it is done. */
export interface StreamGatherer {
  /** Takes one event's data; the text in it, or the failure that ends the stream. */
  take(data: string): Result<string, Failure>;
  end(bound: Usage): Result<Answer, Failure>;
}

export function createStreamGatherer(): StreamGatherer {
  let whole = '';
  let finish = '';
  let version = '';
  let usage: Usage | undefined;
  let done = false;
  const calls: { id: string; name: string; arguments: string }[] = [];
  return {
    take(data) {
      if (data === '[DONE]') {
        done = true;
        return ok('');
      }
      const parsed = parseJson(data);
      if (!parsed.ok || !isJsonObject(parsed.value)) return malformed('a piece of the stream is not JSON');
      if (parsed.value['error'] !== undefined)
        return err(
          failure('ProviderFailed', `the provider broke off: ${JSON.stringify(parsed.value['error']).slice(0, 500)}`),
        );
      usage = usageOf(parsed.value['usage']) ?? usage;
      version = text(parsed.value['model']) || version;
      const choice = first(parsed.value['choices']);
      finish = text(choice['finish_reason']) || finish;
      const delta = object(choice['delta']);
      for (const piece of Array.isArray(delta['tool_calls']) ? delta['tool_calls'] : []) {
        const index = count(object(piece)['index']);
        if (index > calls.length) return malformed('tool calls of the stream are out of order');
        const call = (calls[index] ??= { id: '', name: '', arguments: '' });
        call.id ||= text(object(piece)['id']);
        call.name += text(object(object(piece)['function'])['name']);
        call.arguments += text(object(object(piece)['function'])['arguments']);
      }
      const more = text(delta['content']);
      whole += more;
      return ok(more);
    },
    end(bound) {
      if (!done && finish === '') return malformed('the stream ended before it was done');
      return ok({
        text: whole,
        tool_calls: calls,
        finish_reason: finish,
        usage: usage ?? bound,
        model_version: version,
      });
    },
  };
}

export type Embedded = { readonly vectors: readonly (readonly number[])[]; readonly tokens_in: number };

export function decodeEmbeddings(body: string, texts: number, bound: number): Result<Embedded, Failure> {
  const parsed = parseJson(body);
  const data = parsed.ok ? object(parsed.value)['data'] : undefined;
  if (!parsed.ok || !Array.isArray(data) || data.length !== texts)
    return malformed(`it does not hold ${texts} embeddings`);
  const vectors: (readonly number[])[] = [];
  for (const one of data) {
    const vector = object(one)['embedding'];
    if (!Array.isArray(vector) || !vector.every((value) => typeof value === 'number'))
      return malformed('an embedding is not a list of numbers');
    if (vectors[0] !== undefined && vectors[0].length !== vector.length)
      return malformed('embeddings of different dimensions');
    vectors.push(vector);
  }
  return ok({ vectors, tokens_in: usageOf(object(parsed.value)['usage'])?.tokens_in ?? bound });
}
