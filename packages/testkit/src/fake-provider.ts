/**
 * A model provider on loopback that says what it is told to say: a real HTTP server that speaks the dialects of OpenAI,
 * Anthropic, Gemini and Ollama, for tests and benches.
 *
 * Scripted replies are used up in order; after them every call is answered by `text`. Requests are counted and kept.
 */
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import { systemClock } from '@runloop/core';
import { type FakeCall, type FakeDialect, fakeDialect, type Json, type Saying } from './fake-dialects.ts';

/** Tokens of its answers where nobody says. */
const tokensIn = 7;
const tokensOut = 3;

export type FakeReply =
  /** A stream of one piece where that is asked for. */
  | {
      readonly type: 'text';
      readonly text: string;
      readonly calls?: readonly FakeCall[];
      readonly tokensIn?: number;
      readonly tokensOut?: number;
    }
  | {
      readonly type: 'status';
      readonly status: number;
      readonly body?: string;
      readonly retryAfter?: string;
      readonly location?: string;
    }
  /** Writes the body as it is, with status 200. */
  | { readonly type: 'raw'; readonly body: string }
  /** Streams pieces, then ends as a stream should, or breaks off. */
  | {
      readonly type: 'stream';
      readonly pieces: readonly string[];
      readonly calls?: readonly FakeCall[];
      readonly broken?: boolean;
      readonly tokensOut?: number;
    }
  /** Writes this many bytes and more until the client goes away. */
  | { readonly type: 'flood' }
  /** Never answers. */
  | { readonly type: 'hang' }
  /** Says that an answer comes, and then nothing. */
  | { readonly type: 'stall' }
  /** Says how long its answer is, and closes the connection in the middle of it. */
  | { readonly type: 'cut' }
  /** An answer a byte at a time, without an end. */
  | { readonly type: 'trickle' }
  /** Closes the connection without a word. */
  | { readonly type: 'drop' };

export type FakeRequest = {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly authorization: string | undefined;
  readonly body: Json;
};

export interface FakeProvider extends AsyncDisposable {
  readonly url: string;
  readonly requests: readonly FakeRequest[];
  /** What it would send a bill for: calls that it answered, and their tokens. */
  readonly books: { readonly calls: number; readonly tokens_in: number; readonly tokens_out: number };
  /** Connections that were closed by the client before their answer. */
  readonly aborted: number;
  script(...replies: readonly FakeReply[]): void;
  /** Answers what no script answers by what was asked. */
  answerBy(think: (body: FakeRequest['body']) => FakeReply): void;
  /** Embeds each text as this says; by its length where nothing is said. */
  embedBy(embed: (text: string) => readonly number[]): void;
}

export async function startFakeProvider(text = 'hello'): Promise<FakeProvider> {
  const replies: FakeReply[] = [];
  const requests: FakeRequest[] = [];
  const books = { calls: 0, tokens_in: 0, tokens_out: 0 };
  let aborted = 0;
  let otherwise: (body: FakeRequest['body']) => FakeReply = () => ({ type: 'text', text });
  let embed = (text: string): readonly number[] => [text.length, 1, 0];
  const server = createServer((request, response) => {
    response.on('close', () => {
      if (!response.writableFinished) aborted += 1;
    });
    void readJson(request).then((body) => {
      const { url: path = '', headers } = request;
      requests.push({ path, headers, authorization: headers.authorization, body });
      const dialect = fakeDialect(path);
      if (dialect === undefined) return refuse(response, 404, `there is no ${path}`);
      const problem = dialect.texts(path, body) === undefined ? dialect.problem(body) : undefined;
      if (problem !== undefined) return refuse(response, 400, problem);
      const usage = answer(response, replies.shift() ?? otherwise(body), dialect, path, body, embed);
      if (usage === undefined) return;
      books.calls += 1;
      books.tokens_in += usage.tokensIn;
      books.tokens_out += usage.tokensOut;
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('assumed a TCP address');
  return {
    url: `http://127.0.0.1:${address.port}`,
    requests,
    books,
    get aborted() {
      return aborted;
    },
    script: (...more) => void replies.push(...more),
    answerBy: (think) => void (otherwise = think),
    embedBy: (by) => void (embed = by),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function readJson(request: IncomingMessage): Promise<Json> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of request) chunks.push(chunk as Uint8Array);
  return JSON.parse(Buffer.concat(chunks).toString()) as Json;
}

function refuse(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status).end(JSON.stringify({ error: { message } }));
}

type Used = Pick<Saying, 'tokensIn' | 'tokensOut'>;

/** What is on its bill for it. */
function answer(
  response: ServerResponse,
  reply: FakeReply,
  dialect: FakeDialect,
  path: string,
  body: Json,
  embed: (text: string) => readonly number[],
): Used | undefined {
  const send = (value: unknown): void =>
    void response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(typeof value === 'string' ? value : JSON.stringify(value));
  switch (reply.type) {
    case 'text': {
      const saying = { pieces: [reply.text], calls: [], tokensIn, tokensOut, ...reply };
      const texts = dialect.texts(path, body);
      if (texts !== undefined)
        send(
          dialect.embedded(
            texts.map((one) => embed(one)),
            saying.tokensIn,
          ),
        );
      else if (dialect.isStream(path, body)) stream(response, dialect, saying, false);
      else send(dialect.whole(saying));
      return saying;
    }
    case 'raw':
      send(reply.body);
      return { tokensIn, tokensOut };
    case 'stream': {
      const saying = { calls: [], tokensIn, tokensOut, ...reply };
      stream(response, dialect, saying, reply.broken === true);
      return saying;
    }
    case 'status':
      response
        .writeHead(reply.status, {
          ...(reply.retryAfter === undefined ? {} : { 'retry-after': reply.retryAfter }),
          ...(reply.location === undefined ? {} : { location: reply.location }),
        })
        .end(reply.body ?? '{"error":{"message":"no"}}');
      return undefined;
    case 'flood':
      flood(response.writeHead(200));
      return { tokensIn, tokensOut };
    case 'hang':
      return { tokensIn, tokensOut };
    case 'stall':
      response.writeHead(200, { 'content-type': dialect.streamType }).flushHeaders();
      return { tokensIn, tokensOut };
    case 'cut':
      response.writeHead(200, { 'content-length': '1000' }).write('{"choices":', () => response.destroy());
      return { tokensIn, tokensOut };
    case 'trickle':
      trickle(response.writeHead(200, { 'content-type': dialect.streamType }));
      return { tokensIn, tokensOut };
    case 'drop':
      response.destroy();
      return { tokensIn, tokensOut };
    default:
      return reply satisfies never;
  }
}

function stream(response: ServerResponse, dialect: FakeDialect, saying: Saying, broken: boolean): void {
  response.writeHead(200, { 'content-type': dialect.streamType });
  const pieces = dialect.stream(saying);
  for (const piece of broken ? pieces.slice(0, -1) : pieces) response.write(piece);
  response.end();
}

function trickle(response: ServerResponse): void {
  const next = (): void => {
    if (!response.destroyed) response.write(' ', () => void systemClock.after(10, next));
  };
  next();
}

function flood(response: ServerResponse): void {
  const chunk = Buffer.alloc(65_536, 0x20);
  const more = (): void => {
    while (!response.destroyed && response.write(chunk));
  };
  response.on('drain', more);
  more();
}
