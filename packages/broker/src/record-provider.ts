/**
 * A provider that plays a tape: a file of lines, from which each request gets the answer that it once got.
 *
 * 1. A line is `{"request": …, "answer": …}`, or one of an exported run (`rlp replay <trace> --export`), of which the model calls
 *    that were answered count; other lines are passed over (A9).
 * 2. A request is known by what it asks, not by which model it asks for. Asked again, it gets its next answer, then the last one.
 * 3. What is not on the tape is `ProviderUnavailable` with its digest; nothing is made up.
 */
import { readFileSync, statSync } from 'node:fs';
import {
  digestJson,
  err,
  failure,
  type Failure,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  ok,
  parseJson,
  type Result,
} from '@runloop/core';
import { callId, list, object, text, tokens, usageFrom, vectorsOf } from './dialects/dialect.ts';
import { recordBytesMax } from './limits.ts';
import { parseCompletion, parseEmbedding } from './parse-request.ts';
import type { Attempt, AttemptFailure, Provider } from './provider.ts';
import type { Answer, CompletionRequest, EmbedRequest, ToolCall, Usage } from './request.ts';

type Tape = Map<string, { readonly answers: JsonObject[]; next: number }>;

export function createRecordProvider(id: string, file: string): Provider {
  let tape: Result<Tape, Failure> | undefined;
  const play = (request: CompletionRequest | EmbedRequest, attempt: Attempt): Result<JsonObject, AttemptFailure> => {
    tape ??= readTape(id, file);
    if (!tape.ok) return err({ failure: tape.error, verdict: 'next', spent: false });
    const digest = requestDigest(request);
    const found = tape.value.get(digest);
    const answer = found?.answers[Math.min(found.next, found.answers.length - 1)];
    if (found === undefined || answer === undefined) {
      const unknown = failure(
        'ProviderUnavailable',
        `the tape of provider "${id}" has no answer to request ${digest}`,
        {
          hint: `Record it: run it with a real provider, then rlp replay <trace> --export <file>, and add its lines to ${file}`,
          details: { digest },
        },
      );
      return err({ failure: unknown, verdict: 'next', isWell: true, spent: false });
    }
    found.next += 1;
    attempt.onFirst();
    return ok(answer);
  };
  return {
    id,
    complete(request, attempt) {
      const played = play(request, attempt);
      if (!played.ok) return Promise.resolve(played);
      const answer = answerOf(played.value, attempt.bound);
      if (request.stream === true) attempt.onDelta(answer.text);
      return Promise.resolve(ok(answer));
    },
    embed(request, attempt) {
      const played = play(request, attempt);
      if (!played.ok) return Promise.resolve(played);
      const vectors = vectorsOf(list(played.value['vectors']), request.texts.length);
      if (!vectors.ok) return Promise.resolve(err({ failure: vectors.error, verdict: 'next', spent: false }));
      return Promise.resolve(ok({ vectors: vectors.value, tokens_in: attempt.bound.tokens_in }));
    },
  };
}

/** By what is asked for: the model's name, streaming and caching are not part of it. */
export function requestDigest(request: CompletionRequest | EmbedRequest): string {
  const { model: _, ...asked } = request;
  const { stream: _stream, cache: _cache, ...rest } = asked as CompletionRequest;
  return digestJson(JSON.parse(JSON.stringify(rest)));
}

function readTape(id: string, file: string): Result<Tape, Failure> {
  const bad = (why: string): Result<never, Failure> =>
    err(
      failure('ProviderUnavailable', `the tape of provider "${id}" cannot be played: ${file}: ${why}`, {
        hint: 'It is made by: rlp replay <trace> --export <file>',
      }),
    );
  let text: string;
  try {
    const { size } = statSync(file);
    if (size > recordBytesMax) return bad(`${size} bytes are over the limit of ${recordBytesMax}`);
    text = readFileSync(file, 'utf8');
  } catch (error) {
    return bad(error instanceof Error ? error.message : String(error));
  }
  const lines: JsonObject[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const parsed = parseJson(line);
    if (!parsed.ok || !isJsonObject(parsed.value)) return bad(`line ${i + 1} is no JSON object`);
    lines.push(parsed.value);
  }
  const blobs = new Map(
    lines.flatMap(({ blob, base64 }) => (typeof blob === 'string' ? [[blob, base64]] : [])) as [
      string,
      JsonValue | undefined,
    ][],
  );
  const tape: Tape = new Map();
  for (const line of lines) {
    const pair = pairOf(line, blobs);
    if (pair === undefined) continue;
    const known = tape.get(pair.digest) ?? { answers: [], next: 0 };
    known.answers.push(pair.answer);
    tape.set(pair.digest, known);
  }
  return tape.size === 0 ? bad('it holds no model call that was answered') : ok(tape);
}

/** What is on a tape was written by anybody: what it says of its usage counts as what a provider says. */
function answerOf(taped: JsonObject, bound: Usage): Answer {
  const { tokens_in, tokens_out } = object(taped['usage']);
  const calls = list(taped['tool_calls']).map((one, index): ToolCall => {
    const { id, name, arguments: args, signature } = object(one);
    const signed = typeof signature === 'string' ? { signature } : {};
    return { id: text(id) || callId(index), name: text(name), arguments: text(args), ...signed };
  });
  return {
    text: text(taped['text']),
    tool_calls: calls,
    finish_reason: text(taped['finish_reason']),
    usage: usageFrom({ tokens_in: tokens(tokens_in), tokens_out: tokens(tokens_out) }, bound),
    model_version: text(taped['model_version']),
  };
}

function pairOf(
  line: JsonObject,
  blobs: ReadonlyMap<string, JsonValue | undefined>,
): { readonly digest: string; readonly answer: JsonObject } | undefined {
  const { event } = line;
  const payload = isJsonObject(event) && event['kind'] === 'effect.result' ? event['payload'] : undefined;
  const meta = isJsonObject(payload) && isJsonObject(payload['meta']) ? payload['meta'] : {};
  const isCall = meta['ok'] === true && String(meta['op']).startsWith('model.');
  const request = isCall ? loaded(meta['args'], blobs) : line['request'];
  const answer = isCall ? loaded(meta['value'], blobs) : line['answer'];
  if (!isJsonObject(request) || !isJsonObject(answer)) return undefined;
  const parsed = request['messages'] === undefined ? parseEmbedding(request) : parseCompletion(request);
  const isWhole =
    Array.isArray(answer['vectors']) || (typeof answer['text'] === 'string' && isJsonObject(answer['usage']));
  return parsed.ok && isWhole ? { digest: requestDigest(parsed.value), answer } : undefined;
}

/** A value as a tape holds it: in the line, or as the blob that it names. */
function loaded(
  stored: JsonValue | undefined,
  blobs: ReadonlyMap<string, JsonValue | undefined>,
): JsonValue | undefined {
  if (!isJsonObject(stored)) return undefined;
  if ('json' in stored) return stored['json'];
  const base64 = blobs.get(String(stored['blob']));
  const parsed = typeof base64 === 'string' ? parseJson(Buffer.from(base64, 'base64').toString()) : undefined;
  return parsed?.ok === true ? parsed.value : undefined;
}
