/**
 * A model provider on loopback that says what it is told to say: a real HTTP server in the OpenAI dialect, for tests and benches.
 *
 * Scripted replies are used up in order; after them every call is answered by `text`. Requests are counted and kept.
 */
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';

export type FakeReply =
  | { readonly type: 'text'; readonly text: string; readonly tokensIn?: number; readonly tokensOut?: number }
  | { readonly type: 'status'; readonly status: number; readonly body?: string; readonly retryAfter?: string }
  /** Writes the body as it is, with status 200. */
  | { readonly type: 'raw'; readonly body: string }
  /** Streams pieces, then ends as a stream should, or breaks off. */
  | {
      readonly type: 'stream';
      readonly pieces: readonly string[];
      readonly broken?: boolean;
      readonly tokensOut?: number;
    }
  /** Writes this many bytes and more until the client goes away. */
  | { readonly type: 'flood' }
  /** Never answers. */
  | { readonly type: 'hang' }
  /** Closes the connection without a word. */
  | { readonly type: 'drop' };

export type FakeRequest = {
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: { readonly [name: string]: unknown };
};

export interface FakeProvider extends AsyncDisposable {
  readonly url: string;
  readonly requests: readonly FakeRequest[];
  /** Connections that were closed by the client before their answer. */
  readonly aborted: number;
  script(...replies: readonly FakeReply[]): void;
  /** Answers what no script answers by what was asked. */
  answerBy(think: (body: FakeRequest['body']) => FakeReply): void;
}

export async function startFakeProvider(text = 'hello'): Promise<FakeProvider> {
  const replies: FakeReply[] = [];
  const requests: FakeRequest[] = [];
  let aborted = 0;
  let otherwise: (body: FakeRequest['body']) => FakeReply = () => ({ type: 'text', text });
  const server = createServer((request, response) => {
    response.on('close', () => {
      if (!response.writableFinished) aborted += 1;
    });
    void readJson(request).then((body) => {
      requests.push({ path: request.url ?? '', authorization: request.headers.authorization, body });
      answer(response, replies.shift() ?? otherwise(body), request.url ?? '', body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('assumed a TCP address');
  return {
    url: `http://127.0.0.1:${address.port}`,
    requests,
    get aborted() {
      return aborted;
    },
    script: (...more) => void replies.push(...more),
    answerBy: (think) => void (otherwise = think),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function readJson(request: IncomingMessage): Promise<{ readonly [name: string]: unknown }> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of request) chunks.push(chunk as Uint8Array);
  return JSON.parse(Buffer.concat(chunks).toString()) as { readonly [name: string]: unknown };
}

function answer(
  response: ServerResponse,
  reply: FakeReply,
  path: string,
  body: { readonly [name: string]: unknown },
): void {
  const send = (value: unknown): void =>
    void response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(typeof value === 'string' ? value : JSON.stringify(value));
  switch (reply.type) {
    case 'text':
      if (path.endsWith('/embeddings')) {
        const texts = Array.isArray(body['input']) ? body['input'] : [];
        return send({
          data: texts.map((one, index) => ({ index, embedding: [String(one).length, 1, 0] })),
          usage: { prompt_tokens: reply.tokensIn ?? 7 },
        });
      }
      if (body['stream'] === true) return stream(response, [reply.text], false, reply.tokensOut ?? 3);
      return send({
        model: 'fake-1',
        choices: [{ index: 0, message: { role: 'assistant', content: reply.text }, finish_reason: 'stop' }],
        usage: { prompt_tokens: reply.tokensIn ?? 7, completion_tokens: reply.tokensOut ?? 3 },
      });
    case 'raw':
      return send(reply.body);
    case 'stream':
      return stream(response, reply.pieces, reply.broken === true, reply.tokensOut ?? 3);
    case 'status':
      return void response
        .writeHead(reply.status, reply.retryAfter === undefined ? {} : { 'retry-after': reply.retryAfter })
        .end(reply.body ?? '{"error":{"message":"no"}}');
    case 'flood':
      return flood(response.writeHead(200));
    case 'hang':
      return;
    case 'drop':
      return void response.destroy();
    default:
      return reply satisfies never;
  }
}

function stream(response: ServerResponse, pieces: readonly string[], broken: boolean, tokensOut: number): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const content of pieces)
    response.write(`data: ${JSON.stringify({ model: 'fake-1', choices: [{ index: 0, delta: { content } }] })}\n\n`);
  if (broken) return void response.end();
  response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })}\n\n`);
  response.write(
    `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 7, completion_tokens: tokensOut } })}\n\n`,
  );
  response.end('data: [DONE]\n\n');
}

function flood(response: ServerResponse): void {
  const chunk = Buffer.alloc(65_536, 0x20);
  const more = (): void => {
    while (!response.destroyed && response.write(chunk));
  };
  response.on('drain', more);
  more();
}
