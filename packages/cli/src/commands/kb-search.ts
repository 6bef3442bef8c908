/**
 * rlp kb search, rlp kb reembed: finding what is known, and the vectors that nearness rests on.
 */
import {
  err,
  failure,
  type Failure,
  isJsonObject,
  type JsonObject,
  ok,
  type Result,
  showLine,
  systemClock,
} from '@runloop/core';
import type { Client } from '@runloop/sdk';
import { type Arguments, type Command, flag, number, text, texts, type Tools } from '../command.ts';
import { time } from '../screen.ts';
import { asOfTime, sinceOf } from '../parse-time.ts';

type Vectors = {
  readonly embedder: string;
  readonly docs: number;
  readonly missing: number;
  readonly left_out: number;
  readonly running: boolean;
  readonly problem?: string;
};
type Hit = {
  readonly entity: string;
  readonly excerpt: string;
  readonly ts_ms: number;
  readonly actor: string;
  readonly source_events: readonly number[];
};

const when = 'a date, or a span of time before now (90m, 24h, 7d, 4w)';

export const commands: readonly Command[] = [
  {
    usage: 'kb search <words..>',
    about: 'find by words and by nearness, with who said it and the events behind it',
    options: {
      k: { type: 'number', about: 'how many', default: 10 },
      kind: { type: 'array', about: 'only this kind: contact, note, fact, run, artifact' },
      by: { type: 'string', about: 'only what this one said: operator, or the name of an agent' },
      since: { type: 'string', about: `only what was said since: ${when}` },
      until: { type: 'string', about: `only what was said before: ${when}` },
      'as-of': { type: 'string', about: `what was believed then: ${when}` },
      'confirmed-only': { type: 'boolean', about: 'only what a person has written' },
      keyword: { type: 'boolean', about: 'by words alone' },
      semantic: { type: 'boolean', about: 'by nearness alone' },
    },
    examples: [
      ['rlp kb search john acme', 'contacts, notes, artifacts, runs'],
      ['rlp kb search Katarina Novk', 'a name that you cannot spell'],
      ['rlp kb search budget --since 2026-03-01 --until 2026-04-01', 'what was said of it in March'],
    ],
    run: search,
  },
  {
    usage: 'kb reembed',
    about: 'make the vectors that the embedder of kb.embedder has not made yet',
    examples: [['rlp kb reembed', 'Ctrl-C leaves it at work in the daemon; called again, it shows how far it is']],
    run: reembed,
  },
];

async function search(args: Arguments, tools: Tools): Promise<number> {
  const asked = requestOf(args, systemClock.nowMs());
  if (!asked.ok) return tools.fail(asked.error);
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const found = await client.value.call('kb.search', asked.value, { timeoutMs: 60_000 });
  if (!found.ok) return tools.fail(found.error);
  if (tools.json) tools.screen.json(found.value);
  else print(found.value as { hits: readonly Hit[]; vectors: Vectors }, tools);
  return 0;
}

function requestOf(args: Arguments, nowMs: number): Result<JsonObject, Failure> {
  const [keyword, semantic] = [flag(args, 'keyword'), flag(args, 'semantic')];
  if (keyword && semantic) {
    return err(
      failure('Usage', '--keyword and --semantic exclude each other', { hint: 'leave both out for both orders' }),
    );
  }
  const max = number(args, 'k') ?? 10;
  if (!Number.isSafeInteger(max) || max < 1)
    return err(failure('Usage', `--k ${max}: how many hits is a whole number from 1`));
  const times: [string, number][] = [];
  for (const [name, member] of [
    ['since', 'since_ms'],
    ['until', 'until_ms'],
    ['as-of', 'as_of_ms'],
  ] as const) {
    const given = text(args, name);
    if (given === undefined) continue;
    const at = (name === 'as-of' ? asOfTime : sinceOf)(given, nowMs, `--${name}`);
    if (!at.ok) return at;
    times.push([member, at.value]);
  }
  const by = text(args, 'by');
  return ok({
    text: texts(args, 'words').join(' '),
    max,
    kinds: texts(args, 'kind'),
    mode: keyword ? 'keyword' : semantic ? 'semantic' : 'hybrid',
    confirmed_only: flag(args, 'confirmed-only'),
    ...(by === undefined ? {} : { by }),
    ...Object.fromEntries(times),
  });
}

function print(
  { hits, vectors }: { readonly hits: readonly Hit[]; readonly vectors: Vectors },
  { screen }: Tools,
): void {
  if (hits.length === 0) screen.note('nothing found');
  else
    screen.table(
      ['what', 'when', 'who', 'events', ''],
      hits.map((hit) => [
        hit.entity.length > 40 ? `${hit.entity.slice(0, 39)}…` : hit.entity,
        time(hit.ts_ms).slice(0, 10),
        hit.actor,
        hit.source_events.slice(-3).join(','),
        hit.excerpt.replace(/\s+/g, ' '),
      ]),
    );
  if (vectors.problem !== undefined) screen.note(showLine(`by words alone: ${vectors.problem}`));
  else if (vectors.missing > 0) {
    screen.note(
      `${vectors.missing} texts have no vector of ${showLine(vectors.embedder)} yet; rlp kb reembed makes them`,
    );
  }
  if (vectors.left_out > 0)
    screen.note(`${vectors.left_out} texts found no room in memory and are found by words alone`);
}

const pollMs = 300;

async function reembed(_: Arguments, tools: Tools): Promise<number> {
  const { interrupted } = tools.environment;
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  let status = await statusOf(client.value, true);
  const first = status.ok ? status.value.missing : 0;
  while (status.ok && status.value.running && !interrupted.aborted) {
    tools.screen.progress(`${first - status.value.missing} of ${first} texts`);
    await new Promise<void>((resolve) => void systemClock.after(pollMs, resolve));
    status = await statusOf(client.value, false);
  }
  tools.screen.progress('');
  if (!status.ok) return tools.fail(status.error);
  const { embedder, docs, missing, problem } = status.value;
  if (problem !== undefined && missing > 0) {
    return tools.fail(
      failure('ProviderFailed', `${missing} texts have no vector yet: ${problem}`, {
        hint: `See to the model "${embedder}" (rlp model test), then call this again: what is made stays.`,
      }),
    );
  }
  if (tools.json) tools.screen.json(status.value);
  else if (missing > 0) tools.screen.line(`${missing} texts are left; the daemon goes on with ${showLine(embedder)}`);
  else tools.screen.line(`all texts of ${docs} documents have vectors of ${showLine(embedder)}`);
  return 0;
}

async function statusOf(client: Client, start: boolean): Promise<Result<Vectors, Failure>> {
  const answer = await client.call('kb.reembed', { start }, { timeoutMs: 60_000 });
  if (!answer.ok) return answer;
  return ok((isJsonObject(answer.value) ? answer.value : {}) as Vectors);
}
