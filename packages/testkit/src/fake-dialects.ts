/**
 * The four ways in which providers are spoken to, from their side: what they refuse, and how they say an answer.
 *
 * Each checks what the real one checks of a conversation, so that a request that it would refuse is refused here: turns that
 * alternate, results that belong to a call, arguments as text or as an object. Shapes are those of their public references.
 */
export type Json = { readonly [name: string]: unknown };
export type FakeCall = { readonly name: string; readonly arguments: Json };
/** An answer before it is said in a dialect. */
export type Saying = {
  readonly pieces: readonly string[];
  readonly calls: readonly FakeCall[];
  readonly tokensIn: number;
  readonly tokensOut: number;
};

export type FakeDialect = {
  readonly name: 'openai' | 'anthropic' | 'gemini' | 'ollama';
  readonly isStream: (path: string, body: Json) => boolean;
  /** What it would refuse of this request; undefined where nothing. */
  readonly problem: (body: Json) => string | undefined;
  readonly whole: (saying: Saying) => Json;
  /** The stream, piece by piece as they are written; without its last one it breaks off. */
  readonly stream: (saying: Saying) => readonly string[];
  readonly streamType: string;
  /** The texts to embed, where that is asked. */
  readonly texts: (path: string, body: Json) => readonly string[] | undefined;
  readonly embedded: (vectors: readonly (readonly number[])[], tokensIn: number) => Json;
};

const model = 'fake-1';
const json = (value: unknown): string => JSON.stringify(value);
const list = (value: unknown): readonly Json[] => (Array.isArray(value) ? (value as readonly Json[]) : []);
const event = (value: unknown, name?: string): string =>
  `${name === undefined ? '' : `event: ${name}\n`}data: ${json(value)}\n\n`;
const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value);
const finish = ({ calls }: Saying, none: string, some: string): string => (calls.length > 0 ? some : none);
const textOf = ({ pieces }: Saying): string => pieces.join('');

/** Two neighbours of one role. */
function repeated(roles: readonly unknown[]): string | undefined {
  const at = roles.findIndex((role, i) => i > 0 && role === roles[i - 1]);
  return at < 0 ? undefined : `roles must alternate, found "${String(roles[at])}" twice`;
}

const openai: FakeDialect = {
  name: 'openai',
  streamType: 'text/event-stream',
  isStream: (_, body) => body['stream'] === true,
  problem({ messages, model: asked }) {
    if (typeof asked !== 'string') return 'you must provide a model parameter';
    let open: unknown[] = [];
    for (const { role, tool_calls: calls, tool_call_id: id, content } of list(messages)) {
      if (role === 'tool') {
        if (!open.includes(id)) return `no tool call has the id ${String(id)}`;
        open = open.filter((one) => one !== id);
      } else if (open.length > 0) return 'tool calls must be followed by their results';
      if (content === undefined && calls === undefined) return 'a message has no content';
      for (const call of list(calls)) {
        open.push(call['id']);
        if (typeof (call['function'] as Json)['arguments'] !== 'string') return 'arguments must be a string';
      }
    }
    return undefined;
  },
  whole: (saying) => ({
    model,
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: textOf(saying),
          ...(saying.calls.length === 0
            ? {}
            : {
                tool_calls: saying.calls.map(({ name, arguments: args }, i) => ({
                  id: `call_${i}`,
                  type: 'function',
                  function: { name, arguments: json(args) },
                })),
              }),
        },
        finish_reason: finish(saying, 'stop', 'tool_calls'),
      },
    ],
    usage: { prompt_tokens: saying.tokensIn, completion_tokens: saying.tokensOut },
  }),
  stream: (saying) => [
    ...saying.pieces.map((content) => event({ model, choices: [{ index: 0, delta: { content } }] })),
    // Arguments come in two halves, as they do.
    ...saying.calls.flatMap(({ name, arguments: args }, index) => {
      const text = json(args);
      const half = text.length >> 1;
      const delta = (call: Json): string =>
        event({ choices: [{ index: 0, delta: { tool_calls: [{ index, ...call }] } }] });
      return [
        delta({ id: `call_${index}`, function: { name, arguments: text.slice(0, half) } }),
        delta({ function: { arguments: text.slice(half) } }),
      ];
    }),
    event({ choices: [{ index: 0, delta: {}, finish_reason: finish(saying, 'stop', 'tool_calls') }] }) +
      event({ choices: [], usage: { prompt_tokens: saying.tokensIn, completion_tokens: saying.tokensOut } }) +
      'data: [DONE]\n\n',
  ],
  texts: (path, { input }) => (path.endsWith('/embeddings') ? list(input).map(String) : undefined),
  embedded: (vectors, tokensIn) => ({
    data: vectors.map((embedding, index) => ({ index, embedding })),
    usage: { prompt_tokens: tokensIn },
  }),
};

const anthropic: FakeDialect = {
  name: 'anthropic',
  streamType: 'text/event-stream',
  isStream: (_, body) => body['stream'] === true,
  problem({ messages, max_tokens: max }) {
    if (typeof max !== 'number') return 'max_tokens: Field required';
    const turns = list(messages);
    if (turns[0]?.['role'] !== 'user') return 'the first message must use the "user" role';
    const roles = repeated(turns.map(({ role }) => role));
    if (roles !== undefined) return roles;
    let open: unknown[] = [];
    for (const { content } of turns) {
      const blocks = list(content);
      const answered = blocks.filter(({ type }) => type === 'tool_result').map(({ tool_use_id: id }) => id);
      if (json(answered) !== json(open)) return 'tool_use ids were found without tool_result blocks immediately after';
      if (blocks.some(({ type, input }) => type === 'tool_use' && !isObject(input))) return 'input must be an object';
      open = blocks.filter(({ type }) => type === 'tool_use').map(({ id }) => id);
    }
    return undefined;
  },
  whole: (saying) => ({
    type: 'message',
    role: 'assistant',
    model,
    content: [
      ...(textOf(saying) === '' ? [] : [{ type: 'text', text: textOf(saying) }]),
      ...saying.calls.map(({ name, arguments: input }, i) => ({ type: 'tool_use', id: `call_${i}`, name, input })),
    ],
    stop_reason: finish(saying, 'end_turn', 'tool_use'),
    usage: { input_tokens: saying.tokensIn, output_tokens: saying.tokensOut },
  }),
  stream(saying) {
    const said = (type: string, more: Json): string => event({ type, ...more }, type);
    const calls = saying.calls.flatMap(({ name, arguments: args }, i) => {
      const text = json(args);
      const index = i + 1;
      const delta = (partial_json: string): string =>
        said('content_block_delta', { index, delta: { type: 'input_json_delta', partial_json } });
      return [
        said('content_block_start', { index, content_block: { type: 'tool_use', id: `call_${i}`, name, input: {} } }),
        delta(text.slice(0, text.length >> 1)),
        delta(text.slice(text.length >> 1)) + said('content_block_stop', { index }),
      ];
    });
    return [
      said('message_start', { message: { model, usage: { input_tokens: saying.tokensIn, output_tokens: 1 } } }) +
        said('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }) +
        said('ping', {}),
      ...saying.pieces.map((text) => said('content_block_delta', { index: 0, delta: { type: 'text_delta', text } })),
      ...calls,
      said('message_delta', {
        delta: { stop_reason: finish(saying, 'end_turn', 'tool_use') },
        usage: { output_tokens: saying.tokensOut },
      }) + said('message_stop', {}),
    ];
  },
  texts: () => undefined,
  embedded: () => ({}),
};

const candidate = (parts: readonly Json[], more: Json = {}): Json => ({
  candidates: [{ content: { role: 'model', parts }, ...more }],
  modelVersion: model,
});
const calledParts = ({ calls }: Saying): readonly Json[] =>
  calls.map(({ name, arguments: args }) => ({ functionCall: { name, args }, thoughtSignature: `sign-${name}` }));

const gemini: FakeDialect = {
  name: 'gemini',
  streamType: 'text/event-stream',
  isStream: (path) => path.includes(':streamGenerateContent'),
  problem({ contents }) {
    const turns = list(contents);
    if (turns.some(({ role }) => role !== 'user' && role !== 'model')) return 'Please use a valid role: user, model.';
    const roles = repeated(turns.map(({ role }) => role));
    if (roles !== undefined) return roles;
    let open: unknown[] = [];
    for (const { parts } of turns) {
      const results = list(parts).flatMap(({ functionResponse: one }) => (isObject(one) ? [one as Json] : []));
      if (json(results.map(({ name }) => name)) !== json(open))
        return 'the number of function response parts must equal that of function call parts';
      if (results.some(({ response }) => !isObject(response))) return 'response must be an object';
      const calls = list(parts).filter(({ functionCall: one }) => isObject(one));
      const unsigned = calls.find(({ thoughtSignature: sign }) => typeof sign !== 'string');
      if (unsigned !== undefined) return 'Function call is missing a thought_signature';
      open = calls.map(({ functionCall: one }) => (one as Json)['name']);
    }
    return undefined;
  },
  whole: (saying) => ({
    ...candidate([...(textOf(saying) === '' ? [] : [{ text: textOf(saying) }]), ...calledParts(saying)], {
      finishReason: 'STOP',
    }),
    usageMetadata: { promptTokenCount: saying.tokensIn, candidatesTokenCount: saying.tokensOut },
  }),
  stream: (saying) => [
    ...saying.pieces.map((text) => event(candidate([{ text }]))),
    event({
      ...candidate(calledParts(saying), { finishReason: 'STOP' }),
      usageMetadata: { promptTokenCount: saying.tokensIn, candidatesTokenCount: saying.tokensOut },
    }),
  ],
  texts: (path, { requests }) =>
    path.endsWith(':batchEmbedContents')
      ? list(requests).map(({ content }) => String(list((content as Json)['parts'])[0]?.['text']))
      : undefined,
  embedded: (vectors) => ({ embeddings: vectors.map((values) => ({ values })) }),
};

const ollama: FakeDialect = {
  name: 'ollama',
  streamType: 'application/x-ndjson',
  // What it does where nobody says.
  isStream: (_, body) => body['stream'] !== false,
  problem({ messages, model: asked }) {
    if (typeof asked !== 'string') return 'model is required';
    for (const { content, tool_calls: calls } of list(messages)) {
      if (typeof content !== 'string') return 'json: cannot unmarshal content into a string';
      if (list(calls).some((call) => !isObject((call['function'] as Json)['arguments'])))
        return 'json: cannot unmarshal string into arguments';
    }
    return undefined;
  },
  whole: (saying) => ({ ...ollamaLine(saying, textOf(saying)), ...ollamaEnd(saying) }),
  stream: (saying) => [
    ...saying.pieces.map((content) => `${json({ model, message: { role: 'assistant', content }, done: false })}\n`),
    `${json(ollamaLine(saying, ''))}\n`,
    `${json({ model, message: { role: 'assistant', content: '' }, ...ollamaEnd(saying) })}\n`,
  ],
  texts: (path, { input }) => (path.endsWith('/embed') ? list(input).map(String) : undefined),
  embedded: (embeddings, tokensIn) => ({ model, embeddings, prompt_eval_count: tokensIn }),
};

const ollamaLine = ({ calls }: Saying, content: string): Json => ({
  model,
  message: {
    role: 'assistant',
    content,
    ...(calls.length === 0
      ? {}
      : { tool_calls: calls.map(({ name, arguments: args }) => ({ function: { name, arguments: args } })) }),
  },
  done: false,
});
const ollamaEnd = ({ tokensIn, tokensOut }: Saying): Json => ({
  done: true,
  done_reason: 'stop',
  prompt_eval_count: tokensIn,
  eval_count: tokensOut,
});

/** By the path that is asked for. */
export function fakeDialect(path: string): FakeDialect | undefined {
  if (path.endsWith('/v1/messages')) return anthropic;
  if (path.startsWith('/v1beta/models/')) return gemini;
  if (path === '/api/chat' || path === '/api/embed') return ollama;
  return /^\/v1\/(?:chat\/completions|embeddings)$/.test(path) ? openai : undefined;
}
