/**
 * rlp kb: reading and writing the knowledge base, and proving that nobody changed it.
 */
import { readFileSync } from 'node:fs';
import { failure, isJsonObject, type JsonObject, type JsonValue, parseJson, showLine } from '@runloop/core';
import { type Arguments, type Command, text, texts, type Tools } from '../command.ts';
import { duration, time } from '../screen.ts';

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
    examples: [
      ['rlp kb why contact:john', 'who said so, when, in which run'],
      ['rlp kb why artifact:<digest>', 'an artifact and what went into it'],
    ],
    run: (args, tools) => call(tools, 'kb.why', { entity: text(args, 'entity') ?? '' }, printLadder),
  },
  {
    usage: 'kb blame <entity> <field>',
    about: 'the event that set a value',
    examples: [['rlp kb blame contact:john email', 'where this address comes from']],
    run: (args, tools) =>
      call(tools, 'kb.blame', { entity: text(args, 'entity') ?? '', field: text(args, 'field') ?? '' }, printBlame),
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
  {
    usage: 'kb verify',
    about: 'check every row and the chain of the ledger',
    examples: [['rlp kb verify', 'names the first bad row']],
    run: verify,
  },
  {
    usage: 'kb rebuild',
    about: 'drop every view, replay the ledger, compare',
    examples: [['rlp kb rebuild', 'the hashes must be equal']],
    run: rebuild,
  },
  {
    usage: 'kb stats',
    about: 'how much there is',
    examples: [['rlp kb stats', 'events and watermark']],
    run: (_, tools) =>
      call(tools, 'kb.stats', {}, (value, { screen }) =>
        Object.entries(value).forEach(([key, member]) => screen.line(showLine(`${key}: ${JSON.stringify(member)}`))),
      ),
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
  const done = await client.value.call(op, args, { timeoutMs });
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

function printLadder(value: JsonObject, { screen }: Tools): void {
  const { entity, steps, truncated } = value as unknown as {
    entity: string;
    steps: readonly Step[];
    truncated: boolean;
  };
  screen.line(screen.paint('bold', showLine(entity)));
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
  screen.line(
    `${indent}${screen.paint('cyan', `#${step.id}`)} ${time(step.ts_ms)}  ${showLine(step.kind)}  ${screen.paint('dim', showLine(`${step.via}; by ${by.join(', ')}`))}`,
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
  const evidence = texts(args, 'evidence').map(Number);
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

type Verified = {
  readonly events: number;
  readonly first_bad?: { readonly id: number; readonly why: string };
  readonly bad_blob?: { readonly digest: string };
};

async function verify(_args: Arguments, tools: Tools): Promise<number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const done = await client.value.call('kb.verify', {}, { timeoutMs: 600_000 });
  if (!done.ok) return tools.fail(done.error);
  const { events, first_bad: row, bad_blob: blob } = done.value as unknown as Verified;
  if (row !== undefined || blob !== undefined) {
    const what =
      row === undefined ? `blob ${blob?.digest} does not hold what its name says` : `row ${row.id}: ${row.why}`;
    const hint = 'restore it from a backup';
    return tools.fail(failure('StorageCorrupt', `the ledger was changed: ${what}`, { hint }));
  }
  if (tools.json) tools.screen.json(done.value);
  else tools.screen.line(`the ledger holds: ${events} events, chain intact`);
  return 0;
}

async function rebuild(_args: Arguments, tools: Tools): Promise<number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const done = await client.value.call('kb.rebuild', {}, { timeoutMs: 600_000 });
  if (!done.ok) return tools.fail(done.error);
  const {
    events,
    duration_ms: took,
    equal,
  } = done.value as unknown as { events: number; duration_ms: number; equal: boolean };
  if (tools.json) tools.screen.json(done.value);
  else
    tools.screen.line(
      `${events} events replayed in ${duration(took)} (${Math.round((events / Math.max(1, took)) * 1000)}/s); the views are ${equal ? 'equal' : 'NOT equal'}`,
    );
  return equal ? 0 : 1;
}

function cut(line: string, width: number): string {
  return line.length > width ? `${line.slice(0, Math.max(10, width - 1))}…` : line;
}
