/**
 * What an agent sent as a request to a model, into a request that has the shape of one: an agent may send anything.
 */
import {
  err,
  type Failure,
  failure,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  ok,
  type Result,
} from '@runloop/core';
import { callNameCharsMax } from './limits.ts';
import type { CompletionRequest, EmbedRequest, Message, Part, Tool, ToolCall } from './request.ts';

/** What is wrong, in words for whoever wrote the agent. */
class RequestProblem extends Error {}

const roles = ['system', 'user', 'assistant', 'tool'] as const;
const keys: readonly string[] = [
  'model',
  'messages',
  'tools',
  'response_format',
  'temperature',
  'top_p',
  'seed',
  'stop',
  'max_tokens',
  'stream',
  'provider_options',
  'cache',
];
const stopsMax = 16;

function fail(what: string): never {
  throw new RequestProblem(what);
}

/** `InvalidParams` where it is none. */
export function parseCompletion(given: JsonObject): Result<CompletionRequest, Failure> {
  return parsed('model.complete', () => completionOf(given));
}

/** The same of texts. */
export function parseEmbedding(given: JsonObject): Result<EmbedRequest, Failure> {
  return parsed('model.embed', () => embeddingOf(given));
}

function parsed<T>(op: string, parse: () => T): Result<T, Failure> {
  try {
    return ok(parse());
  } catch (error) {
    if (error instanceof RequestProblem) return err(failure('InvalidParams', `${op}: ${error.message}`));
    throw error;
  }
}

function completionOf(given: JsonObject): CompletionRequest {
  const other = Object.keys(given).find((key) => !keys.includes(key));
  if (other !== undefined) fail(`there is no "${other}"; there are ${keys.join(', ')}`);
  const { messages, tools, stop } = given;
  if (!Array.isArray(messages) || messages.length === 0) fail('messages must be a list of {role, content}');
  const request = {
    model: optional(given, 'model', 'string', 'a text'),
    messages: (messages as readonly JsonValue[]).map(messageOf),
    tools: tools === undefined ? undefined : listOf(tools, 'tools', toolOf),
    response_format: objectAt(given, 'response_format'),
    temperature: numberAt(given, 'temperature', 0, 5),
    top_p: numberAt(given, 'top_p', 0, 1),
    seed: wholeAt(given, 'seed', Number.MIN_SAFE_INTEGER),
    stop: stop === undefined ? undefined : listOf(typeof stop === 'string' ? [stop] : stop, 'stop', textOf),
    max_tokens: wholeAt(given, 'max_tokens', 1),
    stream: optional(given, 'stream', 'boolean', 'true or false'),
    provider_options: objectAt(given, 'provider_options'),
    cache: optional(given, 'cache', 'boolean', 'true or false'),
  };
  if ((request.stop?.length ?? 0) > stopsMax) fail(`stop has more than ${stopsMax} texts`);
  return withoutUndefined(request);
}

function embeddingOf(given: JsonObject): EmbedRequest {
  const other = Object.keys(given).find((key) => key !== 'texts' && key !== 'model');
  if (other !== undefined) fail(`there is no "${other}"; there are texts, model`);
  return withoutUndefined({
    model: optional(given, 'model', 'string', 'a text'),
    texts: listOf(given['texts'] ?? null, 'texts', textOf),
  });
}

function messageOf(given: JsonValue, index: number): Message {
  const where = `messages[${index}]`;
  if (!isJsonObject(given)) fail(`${where} is not {role, content}`);
  const { content = '', tool_calls: calls, tool_call_id: id } = given;
  const role = roles.find((known) => known === given['role']) ?? fail(`${where}.role is none of ${roles.join(', ')}`);
  if (role === 'tool' && typeof id !== 'string') fail(`${where}.tool_call_id names the call that it is the result of`);
  if (typeof id === 'string') ofLength(id, `${where}.tool_call_id`);
  return withoutUndefined({
    role,
    content: typeof content === 'string' ? content : listOf(content, `${where}.content`, partOf),
    tool_calls: calls === undefined ? undefined : listOf(calls, `${where}.tool_calls`, callOf),
    tool_call_id: typeof id === 'string' ? id : undefined,
  });
}

function partOf(given: JsonValue, where: string): Part {
  const { type, text, media_type, data_base64 } = isJsonObject(given) ? given : {};
  if (type === 'text' && typeof text === 'string') return { type, text };
  if (type !== 'image' || typeof media_type !== 'string' || typeof data_base64 !== 'string')
    fail(`${where} is neither {type: "text", text} nor {type: "image", media_type, data_base64}`);
  if (!/^image\/[a-z0-9.+-]{1,32}$/.test(media_type)) fail(`${where}.media_type is no image type`);
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(data_base64)) fail(`${where}.data_base64 is not base64`);
  return { type, media_type, data_base64 };
}

function callOf(given: JsonValue, where: string): ToolCall {
  const { id, name, arguments: args, signature } = isJsonObject(given) ? given : {};
  if (typeof id !== 'string' || typeof name !== 'string' || typeof args !== 'string')
    fail(`${where} is not {id, name, arguments}, each a text`);
  ofLength(id, `${where}.id`);
  ofLength(name, `${where}.name`);
  return { id, name, arguments: args, ...(typeof signature === 'string' ? { signature } : {}) };
}

function ofLength(given: string, where: string): void {
  if (given.length > callNameCharsMax) fail(`${where} is over ${callNameCharsMax} characters`);
}

function toolOf(given: JsonValue, where: string): Tool {
  const { name, description, parameters } = isJsonObject(given) ? given : {};
  if (typeof name !== 'string' || !/^[A-Za-z0-9_-]{1,64}$/.test(name))
    fail(`${where}.name must be 1 to 64 of A-Z, a-z, 0-9, _ and -`);
  if (!isJsonObject(parameters)) fail(`${where}.parameters must be a JSON Schema`);
  return { name, parameters, ...(typeof description === 'string' ? { description } : {}) };
}

function listOf<T>(given: JsonValue, where: string, one: (value: JsonValue, where: string) => T): readonly T[] {
  if (!Array.isArray(given)) fail(`${where} must be a list`);
  return (given as readonly JsonValue[]).map((value, index) => one(value, `${where}[${index}]`));
}

function textOf(given: JsonValue, where: string): string {
  return typeof given === 'string' ? given : fail(`${where} must be a text`);
}

type Kinds = { readonly string: string; readonly boolean: boolean };

function optional<K extends keyof Kinds>(given: JsonObject, key: string, kind: K, words: string): Kinds[K] | undefined {
  const value = given[key];
  if (value === undefined || typeof value === kind) return value as Kinds[K] | undefined;
  return fail(`${key} must be ${words}`);
}

function objectAt(given: JsonObject, key: string): JsonObject | undefined {
  const value = given[key];
  if (value === undefined || isJsonObject(value)) return value;
  return fail(`${key} must be a map`);
}

function numberAt(given: JsonObject, key: string, min: number, max: number): number | undefined {
  const value = given[key];
  if (value === undefined) return undefined;
  return typeof value === 'number' && value >= min && value <= max
    ? value
    : fail(`${key} must be a number from ${min} to ${max}`);
}

function wholeAt(given: JsonObject, key: string, min: number): number | undefined {
  const value = given[key];
  if (value === undefined) return undefined;
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= min
    ? value
    : fail(`${key} must be a whole number${min === 1 ? ' from 1' : ''}`);
}

/** What was left out stays left out. */
function withoutUndefined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as T;
}
