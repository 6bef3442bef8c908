/**
 * How a kind of provider is spoken to: requests to its JSON, answers and streamed pieces from it. Pure.
 *
 * 1. The same conversation gives the same answer in every dialect: roles, tool calls, reasons for the end, usage.
 * 2. What does not fit is a failure that says so; nothing is guessed, and no part of an answer passes for the whole.
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
import { usageTokensMax } from '../limits.ts';
import type { Answer, CompletionRequest, Message, Part, Usage } from '../request.ts';

export type Call = { readonly path: string; readonly body: string };
export type Embedded = { readonly vectors: readonly (readonly number[])[]; readonly tokens_in: number };

/** Gathers a stream's pieces; `end` answers only after the stream said that it is done. */
export interface StreamGatherer {
  /** Takes one piece; the text in it, or the failure that ends the stream. */
  take(piece: string): Result<string, Failure>;
  /** `bound` stands in for a usage that the provider leaves out. */
  end(bound: Usage): Result<Answer, Failure>;
}

export type Dialect = {
  /** What every path is put after, with the configured address before it where it does not end so already. */
  readonly version: string;
  /** The header that carries the secret, and what stands before it there. */
  readonly secretHeader: string;
  readonly secretPrefix: string;
  readonly headers: { readonly [name: string]: string };
  /** How the pieces of a stream are told apart: server-sent events, or a line each. */
  readonly framing: 'events' | 'lines';
  complete(request: CompletionRequest, model: string, maxTokens: number): Call;
  decode(body: string, bound: Usage): Result<Answer, Failure>;
  gather(): StreamGatherer;
  /** Undefined where the provider has no embeddings. */
  embed: ((texts: readonly string[], model: string) => Call) | undefined;
  decodeEmbeddings(body: string, texts: number, bound: number): Result<Embedded, Failure>;
  /** Whether a refusal says that a quota is used up: asking again is of no use. */
  isUsedUp(quote: string): boolean;
};

export const malformed = (why: string): Result<never, Failure> =>
  err(failure('ProviderFailed', `the provider's answer is malformed: ${why}`));
export const brokeOff = (error: JsonValue): Result<never, Failure> =>
  err(failure('ProviderFailed', `the provider broke off: ${JSON.stringify(error)}`));

/** What a provider says in place of an answer; some say on each that there was none. */
export const errorIn = (...values: readonly (JsonValue | undefined)[]): JsonValue | undefined =>
  values.find((value) => value !== undefined && value !== null);

export const object = (value: JsonValue | undefined): JsonObject => (isJsonObject(value) ? value : {});
export const list = (value: JsonValue | undefined): readonly JsonValue[] => (Array.isArray(value) ? value : []);
export const first = (value: JsonValue | undefined): JsonObject => object(list(value)[0]);
export const text = (value: JsonValue | undefined): string => (typeof value === 'string' ? value : '');
export const count = (value: JsonValue | undefined): number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0;

/** What a provider said of its usage; what it left out, or said in no number that it can be, is not there. */
export type Told = { readonly tokens_in: number | undefined; readonly tokens_out: number | undefined };

/** The sum of those that are there; undefined where none is, or one is no number of tokens. */
export function tokens(...values: readonly (JsonValue | undefined)[]): number | undefined {
  let sum: number | undefined;
  for (const value of values) {
    if (value === undefined || value === null) continue;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > usageTokensMax)
      return undefined;
    sum = (sum ?? 0) + value;
  }
  return sum;
}

export function usageFrom(told: Told | undefined, bound: Usage): Usage {
  return { tokens_in: told?.tokens_in ?? bound.tokens_in, tokens_out: told?.tokens_out ?? bound.tokens_out };
}

export function parseObject(body: string): Result<JsonObject, Failure> {
  const parsed = parseJson(body);
  // The parser's own sentence quotes a part of the answer.
  if (!parsed.ok) return malformed('not JSON');
  return isJsonObject(parsed.value) ? ok(parsed.value) : malformed('not an object');
}

/** Of dialects in which a whole answer is a stream of one piece. */
export function decodeOne(gather: () => StreamGatherer): Dialect['decode'] {
  return (body, bound) => {
    const gatherer = gather();
    const taken = gatherer.take(body);
    return taken.ok ? gatherer.end(bound) : taken;
  };
}

export const partsOf = (content: Message['content']): readonly Part[] =>
  typeof content === 'string' ? (content === '' ? [] : [{ type: 'text', text: content }]) : content;
export const textOf = (content: Message['content']): string =>
  partsOf(content)
    .flatMap((part) => (part.type === 'text' ? [part.text] : []))
    .join('\n');

/** What the system messages say, for dialects in which that is no message. */
export function systemOf(messages: readonly Message[]): string | undefined {
  const said = messages.filter(({ role }) => role === 'system').map(({ content }) => textOf(content));
  return said.length === 0 ? undefined : said.join('\n\n');
}

/** The JSON Schema that the answer is to fit; `true` where it is to be JSON of any form. */
export function schemaOf({ response_format: format }: CompletionRequest): JsonObject | true | undefined {
  if (format?.['type'] === 'json_object') return true;
  if (format?.['type'] !== 'json_schema') return undefined;
  const schema = object(format['json_schema'])['schema'];
  return isJsonObject(schema) ? schema : true;
}

/** Names of the tools that were called, by the id of the call: some dialects want them with the result. */
export function toolNames(messages: readonly Message[]): ReadonlyMap<string, string> {
  return new Map(messages.flatMap(({ tool_calls: calls = [] }) => calls.map(({ id, name }) => [id, name] as const)));
}

/** The arguments of a call as the object that they are text of. */
export function argumentsOf(given: string): JsonValue {
  const parsed = parseJson(given === '' ? '{}' : given);
  return parsed.ok ? parsed.value : {};
}

/** An id for a call whose provider gives none: by its place in the answer. */
export const callId = (index: number): string => `call_${index}`;

/** Why an answer ended, in one set of words. */
export function finishOf(reason: string, words: { readonly [reason: string]: string }, hasCalls: boolean): string {
  const said = (Object.hasOwn(words, reason) ? words[reason] : undefined) ?? reason.toLowerCase();
  return hasCalls && said === 'stop' ? 'tool_calls' : said;
}

export function vectorsOf(
  found: readonly (JsonValue | undefined)[],
  texts: number,
): Result<readonly (readonly number[])[], Failure> {
  if (found.length !== texts) return malformed(`it does not hold ${texts} embeddings`);
  const vectors: (readonly number[])[] = [];
  for (const vector of found) {
    if (!Array.isArray(vector) || !vector.every((value) => typeof value === 'number'))
      return malformed('an embedding is not a list of numbers');
    if (vectors[0] !== undefined && vectors[0].length !== vector.length)
      return malformed('embeddings of different dimensions');
    vectors.push(vector);
  }
  return ok(vectors);
}
