/**
 * The dialect of Google's Gemini API: `generateContent`, and its embeddings in a batch.
 *
 * Its calls of tools have no ids, and its newer models want the signature of each call back with it.
 */
import { type JsonObject, type JsonValue, err, failure, isJsonObject, ok } from '@runloop/core';
import type { CompletionRequest, Message, ToolCall } from '../request.ts';
import {
  argumentsOf,
  brokeOff,
  callId,
  decodeOne,
  type Dialect,
  errorIn,
  finishOf,
  first,
  list,
  malformed,
  object,
  parseObject,
  partsOf,
  schemaOf,
  type StreamGatherer,
  systemOf,
  text,
  textOf,
  toolNames,
  vectorsOf,
  type Told,
  tokens,
  usageFrom,
} from './dialect.ts';

const reasons = {
  STOP: 'stop',
  MAX_TOKENS: 'length',
  SAFETY: 'content_filter',
  RECITATION: 'content_filter',
  PROHIBITED_CONTENT: 'content_filter',
  BLOCKLIST: 'content_filter',
};

export const gemini: Dialect = {
  version: '/v1beta',
  secretHeader: 'x-goog-api-key',
  secretPrefix: '',
  headers: {},
  framing: 'events',
  complete(request, model, maxTokens) {
    const way = request.stream === true ? 'streamGenerateContent?alt=sse' : 'generateContent';
    return { path: `/models/${encodeURIComponent(model)}:${way}`, body: JSON.stringify(encode(request, maxTokens)) };
  },
  decode: decodeOne(gather),
  gather,
  embed: (texts, model) => ({
    path: `/models/${encodeURIComponent(model)}:batchEmbedContents`,
    body: JSON.stringify({
      requests: texts.map((one) => ({ model: `models/${model}`, content: { parts: [{ text: one }] } })),
    }),
  }),
  decodeEmbeddings(body, texts, bound) {
    const parsed = parseObject(body);
    if (!parsed.ok) return parsed;
    const vectors = vectorsOf(
      list(parsed.value['embeddings']).map((one) => object(one)['values']),
      texts,
    );
    return vectors.ok ? ok({ vectors: vectors.value, tokens_in: bound }) : vectors;
  },
  isUsedUp: (quote) => /PerDay|billing/.test(quote),
};

function encode(request: CompletionRequest, maxTokens: number): object {
  const { temperature, top_p, seed, stop, tools } = request;
  const schema = schemaOf(request);
  const system = systemOf(request.messages);
  return {
    ...(system === undefined ? {} : { systemInstruction: { parts: [{ text: system }] } }),
    contents: turnsOf(request.messages),
    ...(tools === undefined
      ? {}
      : {
          tools: [
            {
              functionDeclarations: tools.map(({ name, description, parameters }) => ({
                name,
                description,
                parametersJsonSchema: parameters,
              })),
            },
          ],
        }),
    generationConfig: {
      ...request.provider_options,
      maxOutputTokens: maxTokens,
      temperature,
      topP: top_p,
      seed,
      stopSequences: stop,
      ...(schema === undefined ? {} : { responseMimeType: 'application/json' }),
      ...(isJsonObject(schema) ? { responseJsonSchema: schema } : {}),
    },
  };
}

function turnsOf(messages: readonly Message[]): readonly object[] {
  const names = toolNames(messages);
  const turns: { role: string; parts: object[] }[] = [];
  for (const message of messages) {
    if (message.role === 'system') continue;
    const role = message.role === 'assistant' ? 'model' : 'user';
    const parts = message.role === 'tool' ? [resultOf(message, names)] : saidBy(message);
    const last = turns.at(-1);
    if (last?.role === role) last.parts.push(...parts);
    else turns.push({ role, parts });
  }
  return turns;
}

/** A result is an object here; what is none stands in one. */
function resultOf({ content, tool_call_id: id = '' }: Message, names: ReadonlyMap<string, string>): object {
  const said = textOf(content);
  const value = argumentsOf(said);
  const response = isJsonObject(value) && said.startsWith('{') ? value : { result: said };
  return { functionResponse: { name: names.get(id) ?? id, response } };
}

function saidBy({ content, tool_calls: calls = [] }: Message): object[] {
  const said = partsOf(content).map((part) =>
    part.type === 'text' ? { text: part.text } : { inlineData: { mimeType: part.media_type, data: part.data_base64 } },
  );
  const called = calls.map(({ name, arguments: args, signature }) => ({
    functionCall: { name, args: argumentsOf(args) },
    ...(signature === undefined ? {} : { thoughtSignature: signature }),
  }));
  return [...said, ...called];
}

/** What it thought is paid for as what it said. */
function usageOf(value: JsonValue | undefined): Told | undefined {
  if (!isJsonObject(value)) return undefined;
  return {
    tokens_in: tokens(value['promptTokenCount']),
    tokens_out: tokens(value['candidatesTokenCount'], value['thoughtsTokenCount']),
  };
}

function gather(): StreamGatherer {
  let whole = '';
  let finish = '';
  let version = '';
  let usage: Told | undefined;
  const calls: ToolCall[] = [];
  const take = (part: JsonObject): string => {
    const { functionCall: called, thoughtSignature: signature } = part;
    if (isJsonObject(called))
      calls.push({
        id: callId(calls.length),
        name: text(called['name']),
        arguments: JSON.stringify(called['args'] ?? {}),
        ...(typeof signature === 'string' ? { signature } : {}),
      });
    // Its thoughts are no part of the answer.
    return part['thought'] === true ? '' : text(part['text']);
  };
  return {
    take(data) {
      const parsed = parseObject(data);
      if (!parsed.ok) return parsed;
      const { error, promptFeedback, candidates, usageMetadata, modelVersion } = parsed.value;
      const broken = errorIn(error);
      if (broken !== undefined) return brokeOff(broken);
      const { blockReason } = object(promptFeedback);
      if (blockReason !== undefined)
        return err(failure('ProviderFailed', `the provider did not take the prompt: ${text(blockReason)}`));
      usage = usageOf(usageMetadata) ?? usage;
      version = text(modelVersion) || version;
      const candidate = first(candidates);
      finish = text(candidate['finishReason']) || finish;
      const more = list(object(candidate['content'])['parts'])
        .map((part) => take(object(part)))
        .join('');
      whole += more;
      return ok(more);
    },
    end(bound) {
      if (finish === '') return malformed('it ended before it was done');
      const finish_reason = finishOf(finish, reasons, calls.length > 0);
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
