/**
 * A provider that speaks the OpenAI dialect over HTTP, whole answers and streams.
 *
 * 1. The answer is bounded and the time too; a stream that breaks off is a failure.
 * 2. The secret goes into one header of requests to the configured origin, and is scrubbed from what a failure quotes.
 * 3. 408, 409, 429 and 5xx may be tried again, honouring Retry-After; 400, 401, 403, 404 and a used-up quota never.
 */
import { type Clock, type Failure, type Result, err, failure, ok } from '@runloop/core';
import type { ProviderConfig } from './config.ts';
import type { Http, HttpAnswer } from './http.ts';
import { answerBytesMax } from './limits.ts';
import { type Embedded, createStreamGatherer, decodeCompletion, decodeEmbeddings, encodeCompletion } from './openai.ts';
import type { Attempt, AttemptFailure, Provider } from './provider.ts';
import type { Answer } from './request.ts';
import { createSseDecoder } from './sse.ts';

export type ProviderSecrets = {
  /** The value, for this header of this origin alone. */
  resolve(
    id: string,
    use: { readonly type: 'http'; readonly origin: string; readonly header: string },
  ): Promise<Result<string, Failure>>;
  scrub(text: string): string;
};
export type HttpProviderDeps = {
  readonly clock: Clock;
  readonly http: Http;
  readonly secrets: ProviderSecrets;
};
type Read<T> = (answer: HttpAnswer) => Promise<Result<T, Failure>>;

export function createHttpProvider(deps: HttpProviderDeps, config: ProviderConfig): Provider {
  const root = /\/v\d+$/.test(config.baseUrl) ? config.baseUrl : `${config.baseUrl}/v1`;
  const { secretId } = config;

  const call = async <T>(
    path: string,
    body: string,
    attempt: Attempt,
    read: Read<T>,
  ): Promise<Result<T, AttemptFailure>> => {
    const { origin } = new URL(config.baseUrl);
    const use = { type: 'http', origin, header: 'authorization' } as const;
    const secret = secretId === undefined ? undefined : await deps.secrets.resolve(secretId, use);
    if (secret?.ok === false) {
      const { message, hint = `put it: rlp secrets put ${secretId} --for ${origin}` } = secret.error;
      return unavailable(config.id, message, hint);
    }
    const late = new AbortController();
    using _deadline = deps.clock.after(config.timeoutMs, () => late.abort());
    const signal = AbortSignal.any([attempt.signal, late.signal]);
    let sent = false;
    try {
      const headers = {
        'content-type': 'application/json',
        ...(secret === undefined ? {} : { authorization: `Bearer ${secret.value}` }),
      };
      const answer = await deps.http.post(`${root}${path}`, headers, body, signal);
      sent = true;
      if (answer.status < 200 || answer.status > 299)
        return err(await refusal(config.id, answer, (text) => deps.secrets.scrub(text)));
      const value = await read(answer);
      if (value.ok) return value;
      return err({ failure: value.error, verdict: 'next', spent: true });
    } catch (error) {
      if (attempt.signal.aborted)
        return err({ failure: failure('Cancelled', 'the call was cancelled'), verdict: 'stop', spent: true });
      if (late.signal.aborted) {
        return err({
          failure: failure('DeadlineExceeded', `provider "${config.id}" did not answer within ${config.timeoutMs} ms`),
          verdict: 'next',
          spent: true,
        });
      }
      return broken(config.id, error, sent);
    }
  };

  return {
    id: config.id,
    complete: (request, attempt) =>
      call('/chat/completions', encodeCompletion(request, attempt.model, attempt.maxTokens), attempt, (answer) =>
        request.stream === true ? readStream(answer, attempt) : readWhole(answer, attempt),
      ),
    embed: (request, attempt) =>
      call<Embedded>(
        '/embeddings',
        JSON.stringify({ model: attempt.model, input: request.texts }),
        attempt,
        async (answer) => {
          const body = await readBody(answer);
          return body.ok ? decodeEmbeddings(body.value, request.texts.length, attempt.bound.tokens_in) : body;
        },
      ),
  };
}

async function readWhole(answer: HttpAnswer, attempt: Attempt): Promise<Result<Answer, Failure>> {
  const body = await readBody(answer);
  attempt.onFirst();
  return body.ok ? decodeCompletion(body.value, attempt.bound) : body;
}

async function readStream(answer: HttpAnswer, attempt: Attempt): Promise<Result<Answer, Failure>> {
  const decoder = createSseDecoder();
  const gatherer = createStreamGatherer();
  let bytes = 0;
  for await (const chunk of answer.body) {
    bytes += chunk.length;
    if (bytes > answerBytesMax) return tooLarge();
    for (const data of decoder.push(chunk)) {
      const piece = gatherer.take(data);
      if (!piece.ok) return piece;
      if (piece.value === '') continue;
      attempt.onFirst();
      attempt.onDelta(piece.value);
    }
  }
  return gatherer.end(attempt.bound);
}

const tooLarge = (): Result<never, Failure> =>
  err(failure('OutputTooLarge', `the provider's answer is over ${answerBytesMax} bytes`));

async function readBody(answer: HttpAnswer): Promise<Result<string, Failure>> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of answer.body) {
    bytes += chunk.length;
    if (bytes > answerBytesMax) return tooLarge();
    chunks.push(chunk);
  }
  return ok(Buffer.concat(chunks).toString());
}

function unavailable(id: string, why: string, hint: string): Result<never, AttemptFailure> {
  return err({
    failure: failure('ProviderUnavailable', `provider "${id}" is unavailable: ${why}`, { hint }),
    verdict: 'next',
    spent: false,
  });
}

/** A connection that failed: never made it is the provider's absence, lost on the way may be tried again. */
function broken(id: string, error: unknown, sent: boolean): Result<never, AttemptFailure> {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const why = error instanceof Error ? error.message || code : String(error);
  if (
    !sent &&
    /^ECONNREFUSED|^ENOTFOUND|^EAI_AGAIN|^EHOSTUNREACH|^ENETUNREACH|^UND_ERR_CONNECT_TIMEOUT|CERT|TLS|SSL/.test(code)
  ) {
    return unavailable(id, `${why} (${code})`, 'Start it, or check its base_url.');
  }
  return err({
    failure: failure('ProviderFailed', `the connection to provider "${id}" broke: ${why}`),
    verdict: 'retry',
    spent: true,
  });
}

async function refusal(id: string, answer: HttpAnswer, scrub: (text: string) => string): Promise<AttemptFailure> {
  const body = await readBody(answer);
  const quote = scrub(body.ok ? body.value : body.error.message).slice(0, 500);
  const failed = failure('ProviderFailed', `provider "${id}" answered ${answer.status}: ${quote}`, {
    details: { status: answer.status },
  });
  const terminal = /insufficient_quota|billing_hard_limit/.test(quote);
  const again = !terminal && ([408, 409, 429].includes(answer.status) || answer.status >= 500);
  const retryAfterMs = retryAfter(answer.headers['retry-after']);
  return {
    failure: failed,
    verdict: again ? 'retry' : answer.status === 400 ? 'stop' : 'next',
    spent: false,
    ...(terminal ? { terminal } : {}),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

/** Seconds only; a date would need a clock that both sides share. */
function retryAfter(value: string | undefined): number | undefined {
  return value !== undefined && /^\d{1,6}(?:\.\d{1,3})?$/.test(value) ? Number(value) * 1_000 : undefined;
}
