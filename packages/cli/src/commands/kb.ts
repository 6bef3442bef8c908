/**
 * rlp kb: reading and writing the knowledge base, and proving that nobody changed it.
 */
import { readFileSync } from 'node:fs';
import {
  canonicalJson,
  eventLevelsMax,
  failure,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  ok,
  parseJson,
  showLine,
  systemClock,
} from '@runloop/core';
import { type Arguments, type Command, text, texts, type Tools } from '../command.ts';
import { time } from '../screen.ts';
import { asOfTime } from '../parse-time.ts';

type Step = {
  id: number;
  ts_ms: number;
  actor: string;
  kind: string;
  depth: number;
  via: string;
  agent?: string;
  model?: string;
  run?: string;
  node?: string;
  evidence: readonly number[];
  summary: string;
};

export const commands: readonly Command[] = [
  {
    usage: 'kb query <sql>',
    about: 'one read-only SQL statement over the views',
    examples: [['rlp kb query "select name, state from runs"', 'views: runs, nodes, contacts, artifacts, facts, …']],
    run: (args, tools) => call(tools, 'kb.query', { sql: text(args, 'sql') ?? '' }, printRows),
  },
  {
    usage: 'kb why <entity>',
    about: 'the ladder of events that made something, down to the root',
    options: {
      'as-of': { type: 'string', about: 'what was known then: 2026-11-20, 2026-11-20T09:30, 3d for three days ago' },
    },
    examples: [
      ['rlp kb why contact:john', 'who said so, when, in which run'],
      ['rlp kb why artifact:<digest>', 'an artifact and what went into it'],
    ],
    run: why,
  },
  {
    usage: 'kb blame <entity> <field>',
    about: 'the event that set a value',
    examples: [['rlp kb blame contact:john email', 'where this address comes from']],
    run: (args, tools) =>
      call(tools, 'kb.blame', { entity: text(args, 'entity') ?? '', field: text(args, 'field') ?? '' }, printBlame),
  },
  {
    usage: 'kb contradictions',
    about: 'what two sources disagree on, with what each says',
    examples: [['rlp kb contradictions', 'settle one by proposing what holds, or by retracting what does not']],
    run: (_, tools) => call(tools, 'kb.contradictions', {}, printContradictions),
  },
  {
    usage: 'kb propose',
    about: 'write an event: a contact, a note, a fact',
    options: {
      kind: { type: 'string', about: 'such as contact.upserted, note.created, fact.asserted' },
      payload: { type: 'string', about: 'JSON, @file, or - for standard input' },
      evidence: { type: 'array', about: 'id of an event that this rests on' },
      key: { type: 'string', about: 'saying the same again under this key writes nothing' },
    },
    examples: [
      [
        `rlp kb propose --kind contact.upserted --payload '{"contact":"contact:john","name":"John","email":"john@acme.com","confidence":1,"trust":"trusted"}'`,
        'enter a contact',
      ],
    ],
    run: propose,
  },
];

async function call(
  tools: Tools,
  op: string,
  args: JsonObject,
  print: (value: JsonObject, tools: Tools) => void,
  timeoutMs = 60_000,
): Promise<number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const { interrupted } = tools.environment;
  const done = await client.value.call(op, args, { timeoutMs, signal: interrupted });
  if (interrupted.aborted) return 130;
  if (!done.ok) return tools.fail(done.error);
  if (tools.json) tools.screen.json(done.value);
  else print(isJsonObject(done.value) ? done.value : {}, tools);
  return 0;
}

function printRows(value: JsonObject, { screen }: Tools): void {
  const { columns, rows, truncated } = value as unknown as {
    columns: readonly string[];
    rows: readonly (readonly JsonValue[])[];
    truncated: boolean;
  };
  if (rows.length === 0) screen.note('no rows');
  else
    screen.table(
      columns,
      rows.map((row) =>
        row.map((cell) => (cell === null ? '' : typeof cell === 'string' ? cell : JSON.stringify(cell))),
      ),
    );
  if (truncated) screen.note('(more rows were cut off)');
}

async function why(args: Arguments, tools: Tools): Promise<number> {
  const given = text(args, 'as-of');
  const at = given === undefined ? ok(undefined) : asOfTime(given, systemClock.nowMs(), '--as-of');
  if (!at.ok) return tools.fail(at.error);
  const asked = { entity: text(args, 'entity') ?? '', ...(at.value === undefined ? {} : { as_of_ms: at.value }) };
  return call(tools, 'kb.why', asked, printLadder);
}

function printContradictions(value: JsonObject, { screen }: Tools): void {
  const found = value['contradictions'] as unknown as readonly {
    entity: string;
    field: string;
    claims: readonly { source: string; value: string; ts_ms: number; source_event: number }[];
  }[];
  if (found.length === 0) screen.note('no two sources disagree');
  for (const { entity, field, claims } of found) {
    screen.line(`${screen.paint('bold', showLine(entity))} ${showLine(field)}`);
    for (const claim of claims)
      screen.line(showLine(`  ${claim.value}  ${claim.source}, ${time(claim.ts_ms)}, event ${claim.source_event}`));
  }
}

function printLadder(value: JsonObject, { screen }: Tools): void {
  const { entity, steps, truncated, values } = value as unknown as {
    entity: string;
    steps: readonly Step[];
    truncated: boolean;
    values: { readonly [field: string]: { readonly value: JsonValue; readonly event: number } };
  };
  screen.line(screen.paint('bold', showLine(entity)));
  for (const [field, { value: now, event }] of Object.entries(values)) {
    if (now === entity) continue;
    const shown = `  ${field} = ${typeof now === 'string' ? now : JSON.stringify(now)}`;
    screen.line(`${cut(showLine(shown), screen.width - 10)}  ${screen.paint('dim', `#${event}`)}`);
  }
  for (const step of steps) printStep(step, screen);
  if (truncated) screen.note('(the ladder goes on)');
}

function printStep(step: Step, screen: Tools['screen']): void {
  const by = [
    step.agent === undefined ? step.actor : `agent ${step.agent}`,
    ...(step.model === undefined ? [] : [`model ${step.model}`]),
    ...(step.node === undefined ? [] : [`node ${step.node}`]),
  ];
  const indent = '  '.repeat(step.depth + 1);
  const kind = showLine(step.kind);
  const room = screen.width - indent.length - `#${step.id}`.length - kind.length - 24;
  const whence = cut(showLine(`${step.via}; by ${by.join(', ')}`), room);
  screen.line(
    `${indent}${screen.paint('cyan', `#${step.id}`)} ${time(step.ts_ms)}  ${kind}  ${screen.paint('dim', whence)}`,
  );
  if (step.summary !== '') screen.line(`${indent}   ${cut(showLine(step.summary), screen.width - indent.length - 4)}`);
}

function printBlame(value: JsonObject, { screen }: Tools): void {
  const { field, value: current, event } = value as unknown as { field: string; value: JsonValue; event: Step };
  screen.line(`${showLine(field)} = ${showLine(JSON.stringify(current))}`);
  printStep({ ...event, depth: 0 }, screen);
}

async function propose(args: Arguments, tools: Tools): Promise<number> {
  const kind = text(args, 'kind');
  const given = text(args, 'payload') ?? '-';
  if (kind === undefined)
    return tools.fail(failure('Usage', '--kind is missing', { hint: 'for example: --kind note.created' }));
  let source = given;
  try {
    if (given === '-') source = readFileSync(0, 'utf8');
    else if (given.startsWith('@')) source = readFileSync(given.slice(1), 'utf8');
  } catch {
    return tools.fail(failure('NotFound', `there is no file ${given.slice(1)}`));
  }
  const payload = parseJson(source);
  if (!payload.ok || !isJsonObject(payload.value))
    return tools.fail(failure('InvalidDelta', '--payload must be a JSON map', { hint: 'see: rlp kb propose --help' }));
  const canonical = canonicalJson(payload.value, eventLevelsMax);
  if (!canonical.ok)
    return tools.fail(failure('InvalidDelta', `--payload at ${canonical.error.path}: ${canonical.error.why}`));
  const evidence = texts(args, 'evidence').map(Number);
  const wrong = texts(args, 'evidence').find((id) => !/^[1-9]\d{0,15}$/.test(id));
  if (wrong !== undefined)
    return tools.fail(failure('Usage', `--evidence ${wrong}: an event is named by its number, from 1`));
  const key = text(args, 'key');
  return call(
    tools,
    'kb.propose',
    { kind, payload: payload.value, evidence, ...(key === undefined ? {} : { dedupe_key: key }) },
    (value, { screen }) =>
      screen.line(
        value['existing'] === true
          ? `event ${String(value['event_id'])} says so already`
          : `event ${String(value['event_id'])}`,
      ),
  );
}

function cut(line: string, width: number): string {
  return line.length > width ? `${line.slice(0, Math.max(10, width - 1))}…` : line;
}
