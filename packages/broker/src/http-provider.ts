/**
 * A provider over HTTP, in the dialect of its kind: whole answers and streams.
 *
 * 1. The answer is bounded and the time too, that to its first piece by itself; a stream that breaks off is a failure.
 * 2. The secret goes into one header of requests to the configured origin, and is scrubbed from what a failure quotes.
 * 3. 408, 409, 429 and 5xx may be tried again, honouring Retry-After; 400, 401, 403, 404 and a used-up quota never.
 */
import { type Clock, type Failure, type Result, err, failure, ok, joinSignals } from '@runloop/core';
import type { ProviderConfig } from './broker-config.ts';
import { anthropic } from './dialects/anthropic.ts';
import { type Call, type Dialect, type Embedded, malformed } from './dialects/dialect.ts';
import { gemini } from './dialects/gemini.ts';
import { ollama } from './dialects/ollama.ts';
import { openai } from './dialects/openai.ts';
import type { Http, HttpAnswer } from './http.ts';
import { answerBytesMax, callNameCharsMax, quoteCharsMax } from './limits.ts';
import { createLineDecoder } from './lines.ts';
import type { Attempt, AttemptFailure, Provider } from './provider.ts';
import { optionsFor } from './provider-options.ts';
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
type Read<T> = (answer: HttpAnswer, onFirst: () => void) => Promise<Result<T, Failure>>;

const dialects: { readonly [kind in Exclude<ProviderConfig['kind'], 'echo' | 'record'>]: Dialect } = {
  http: openai,
  http_anthropic: anthropic,
  http_gemini: gemini,
  ollama,
};

export function createHttpProvider(
  deps: HttpProviderDeps,
  config: ProviderConfig & { kind: keyof typeof dialects },
): Provider {
  const dialect = dialects[config.kind];
  const root = /\/(?:v\d+(?:beta)?|api)$/.test(config.baseUrl) ? config.baseUrl : `${config.baseUrl}${dialect.version}`;
  const { origin } = new URL(config.baseUrl);
  const { secretId } = config;

  const headersFor = async (): Promise<Result<{ readonly [name: string]: string }, AttemptFailure>> => {
    const plain = { 'content-type': 'application/json', ...dialect.headers };
    if (secretId === undefined) return ok(plain);
    const secret = await deps.secrets.resolve(secretId, { type: 'http', origin, header: dialect.secretHeader });
    const header = dialect.secretHeader === 'authorization' ? '' : `:${dialect.secretHeader}`;
    const put = `put it: rlp secrets put ${secretId} --for ${origin}${header}`;
    if (secret.ok && !/^[!-~]+$/.test(secret.value))
      return unavailable(config.id, `the value of ${secretId} has characters that no key has`, put);
    if (secret.ok) return ok({ ...plain, [dialect.secretHeader]: `${dialect.secretPrefix}${secret.value}` });
    const { message, hint = put } = secret.error;
    return unavailable(config.id, message, hint);
  };

  const call = async <T>({ path, body }: Call, attempt: Attempt, read: Read<T>): Promise<Result<T, AttemptFailure>> => {
    const headers = await headersFor();
    if (!headers.ok) return headers;
    const late = new AbortController();
    let waited = config.timeoutMs;
    const giveUpAfter = (ms: number): Disposable =>
      deps.clock.after(ms, () => {
        waited = ms;
        late.abort();
      });
    using _deadline = giveUpAfter(config.timeoutMs);
    using untilFirst = giveUpAfter(config.firstTokenMs);
    using either = joinSignals(attempt.signal, late.signal);
    const onFirst = (): void => {
      untilFirst[Symbol.dispose]();
      attempt.onFirst();
    };
    let sent = false;
    try {
      const answer = await deps.http.post(`${root}${path}`, headers.value, body, either.signal);
      sent = true;
      if (answer.status < 200 || answer.status > 299)
        return err(await refusal(config.id, dialect, answer, (text) => deps.secrets.scrub(text)));
      const value = await read(answer, onFirst);
      if (value.ok) return value;
      const message = deps.secrets.scrub(value.error.message).slice(0, quoteCharsMax);
      return err({ failure: { ...value.error, message }, verdict: 'next', spent: true });
    } catch (error) {
      if (attempt.signal.aborted)
        return err({ failure: failure('Cancelled', 'the call was cancelled'), verdict: 'stop', spent: true });
      if (late.signal.aborted) {
        const what = waited === config.timeoutMs ? 'answer' : 'begin to answer';
        const message = `provider "${config.id}" did not ${what} within ${waited} ms`;
        return err({ failure: failure('DeadlineExceeded', message), verdict: 'next', spent: true });
      }
      return broken(config.id, error, sent);
    }
  };

  return {
    id: config.id,
    complete(request, attempt) {
      const own = { ...request, provider_options: optionsFor(config.kind, request.provider_options) };
      return call(dialect.complete(own, attempt.model, attempt.maxTokens), attempt, (answer, onFirst) =>
        request.stream === true
          ? readStream(dialect, answer, attempt, onFirst)
          : readWhole(dialect, answer, attempt, onFirst),
      );
    },
    embed(request, attempt) {
      if (dialect.embed === undefined) return Promise.resolve(noEmbeddings(config));
      return call<Embedded>(dialect.embed(request.texts, attempt.model), attempt, async (answer, onFirst) => {
        const body = await readBody(answer, onFirst);
        return body.ok ? dialect.decodeEmbeddings(body.value, request.texts.length, attempt.bound.tokens_in) : body;
      });
    },
  };
}

async function readWhole(
  dialect: Dialect,
  answer: HttpAnswer,
  attempt: Attempt,
  onFirst: () => void,
): Promise<Result<Answer, Failure>> {
  const body = await readBody(answer, onFirst);
  return body.ok ? withCalls(dialect.decode(body.value, attempt.bound)) : body;
}

async function readStream(
  dialect: Dialect,
  answer: HttpAnswer,
  attempt: Attempt,
  onFirst: () => void,
): Promise<Result<Answer, Failure>> {
  const decoder = dialect.framing === 'events' ? createSseDecoder() : createLineDecoder();
  const gatherer = dialect.gather();
  let bytes = 0;
  for await (const chunk of answer.body) {
    bytes += chunk.length;
    if (bytes > answerBytesMax) return tooLarge();
    for (const data of decoder.push(chunk)) {
      const piece = gatherer.take(data);
      if (!piece.ok) return piece;
      if (piece.value === '') continue;
      onFirst();
      attempt.onDelta(piece.value);
    }
  }
  return withCalls(gatherer.end(attempt.bound));
}

/** Calls of tools that an agent can answer: each has a name, and an id that no other has. */
function withCalls(answer: Result<Answer, Failure>): Result<Answer, Failure> {
  if (!answer.ok) return answer;
  const ids = new Set<string>();
  for (const { id, name } of answer.value.tool_calls) {
    if (name === '') return malformed('a call of a tool has no name');
    if (Math.max(id.length, name.length) > callNameCharsMax)
      return malformed(`the id or the name of a tool's call is over ${callNameCharsMax} characters`);
    if (ids.has(id)) return malformed('two calls of tools have one id');
    ids.add(id);
  }
  return answer;
}

const tooDeep = { failure: failure('ProviderFailed', "the provider's answer is malformed: it is nested too deep") };
const tooLarge = (): Result<never, Failure> =>
  err(failure('OutputTooLarge', `the provider's answer is over ${answerBytesMax} bytes`));

async function readBody(answer: HttpAnswer, onFirst: () => void = () => undefined): Promise<Result<string, Failure>> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of answer.body) {
    onFirst();
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

function noEmbeddings({ id, kind }: ProviderConfig): Result<never, AttemptFailure> {
  const none = failure('ProviderUnavailable', `provider "${id}" (${kind}) has no embeddings`, {
    hint: 'Route the embedding model to a provider that has.',
  });
  return err({ failure: none, verdict: 'next', spent: false });
}

const tlsHint = 'Check its base_url: a server without TLS is http://, and a certificate must be one that Node trusts.';

/** A connection that failed: never made it is the provider's absence, lost on the way may be tried again. */
function broken(id: string, error: unknown, sent: boolean): Result<never, AttemptFailure> {
  // As deep as the stack: JSON is parsed without it and written with it.
  if (error instanceof RangeError) return err({ ...tooDeep, verdict: 'next', spent: true });
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const why = error instanceof Error ? error.message || code : String(error);
  if (
    !sent &&
    /^ECONNREFUSED|^ENOTFOUND|^EAI_AGAIN|^EHOSTUNREACH|^ENETUNREACH|^UND_ERR_CONNECT_TIMEOUT|CERT|TLS|SSL/.test(code)
  ) {
    const isTls = /CERT|TLS|SSL/.test(code);
    return unavailable(id, `${why.trim()} (${code})`, isTls ? tlsHint : 'Start it, or check its base_url.');
  }
  if (error instanceof Error && error.name === 'HTTPParserError') {
    const none = failure('ProviderFailed', `what listens at the base_url of provider "${id}" speaks no HTTP`, {
      hint: 'Check the port, and whether it is https.',
    });
    return err({ failure: none, verdict: 'next', spent: true });
  }
  return err({
    failure: failure('ProviderFailed', `the connection to provider "${id}" broke: ${why}`),
    verdict: 'retry',
    spent: true,
  });
}

async function refusal(
  id: string,
  dialect: Dialect,
  answer: HttpAnswer,
  scrub: (text: string) => string,
): Promise<AttemptFailure> {
  const body = await readBody(answer);
  const quote = scrub(body.ok ? body.value : body.error.message).slice(0, quoteCharsMax);
  const terminal = dialect.isUsedUp(quote);
  const hint = terminal ? usedUpHint : refusalHint(answer.status);
  const failed = failure('ProviderFailed', `provider "${id}" answered ${answer.status}: ${quote}`, {
    details: { status: answer.status },
    ...(hint === undefined ? {} : { hint }),
  });
  const again = !terminal && ([408, 409, 429].includes(answer.status) || answer.status >= 500);
  const retryAfterMs = retryAfter(answer.headers['retry-after']);
  return {
    failure: failed,
    verdict: again ? 'retry' : answer.status === 400 && !terminal ? 'stop' : 'next',
    spent: false,
    ...(terminal ? { terminal } : {}),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

const usedUpHint = 'The quota of the account is used up: see to it at the provider, or route the model elsewhere.';

/** What is to be done about it, by the status. */
function refusalHint(status: number): string | undefined {
  if (status === 401 || status === 403)
    return 'The key is refused: put the right one under its secret_id (rlp secrets).';
  if (status === 404) return 'There is no such model or path: check target_model and base_url.';
  if (status === 429) return 'Too many requests: lower the concurrency of the provider, or wait.';
  if (status >= 300 && status < 400)
    return 'Redirects are not followed: put the address that it leads to into base_url.';
  if (status >= 500) return 'The provider is in trouble; a fallback in the route would have been asked.';
  return undefined;
}

/** Seconds only; a date would need a clock that both sides share. */
function retryAfter(value: string | undefined): number | undefined {
  return value !== undefined && /^\d{1,6}(?:\.\d{1,3})?$/.test(value) ? Number(value) * 1_000 : undefined;
}
