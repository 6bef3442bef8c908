/**
 * rlp run, rlp attach: starts an opening and shows what happens, live on a terminal, as NDJSON to a program.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import {
  errorTable,
  failure,
  type Failure,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  newTraceId,
  parseJson,
  type Result,
  err,
  ok,
  systemRandom,
  type TraceId,
} from '@runloop/core';
import { nestedFilesMax, openingBytesMax, openingFiles, parseOpening } from '@runloop/openings';
import type { Client } from '@runloop/sdk';
import { type Arguments, type Command, flag, text, texts, type Tools, traceOf } from '../command.ts';
import { follow } from '../follow.ts';
import { patiently } from '../patience.ts';
import { readFolder } from '../read-folder.ts';
import { showDiagnostics } from '../show-diagnostics.ts';

export const watching = {
  ndjson: { type: 'boolean', about: 'one event a line, as when the output is no terminal' },
  pretty: { type: 'boolean', about: 'the view for people, even into a pipe' },
  'trace-out': { type: 'string', about: 'also write the events to this file' },
} as const;

export const commands: readonly Command[] = [
  {
    usage: 'run <opening>',
    about: 'run an opening: a file, or the name of one that is installed',
    options: {
      params: { type: 'string', about: 'parameters as JSON, or @file' },
      p: { type: 'array', about: 'one parameter, name=value' },
      'on-confirm': {
        type: 'string',
        about: 'what an unanswered question means',
        choices: ['wait', 'deny'],
        default: 'wait',
      },
      detach: { type: 'boolean', about: 'print the trace id and leave' },
      folder: { type: 'string', about: 'the folder that agents which ask for one may use' },
      local: { type: 'boolean', about: 'a daemon of its own for this one command' },
      priority: { type: 'number', about: '0 to 9, higher goes first', default: 0 },
      ...watching,
    },
    examples: [
      ['rlp run hello', 'an opening by name'],
      ['rlp run compose_email.yaml -p recipient=john --ndjson', 'a file, one parameter, events as JSON'],
      ['rlp run hello --detach', 'leave at once; follow later with rlp attach'],
    ],
    run,
  },
  {
    usage: 'attach <trace>',
    about: 'follow a run: its history first, then live',
    options: watching,
    examples: [['rlp attach 4f2c…', 'the trace id that rlp run --detach printed']],
    async run(args, tools) {
      const traceId = traceOf(args);
      if (!traceId.ok) return tools.fail(traceId.error);
      const client = await tools.connect();
      if (!client.ok) return tools.fail(client.error);
      const known = await client.value.call('run.show', { trace_id: traceId.value });
      if (!known.ok) return tools.fail(known.error);
      const trace = await traceOut(args, tools);
      if (!trace.ok) return tools.fail(trace.error);
      return watch(client.value, traceId.value, trace.value, args, tools, false);
    },
  },
];

async function run(args: Arguments, tools: Tools): Promise<number> {
  const params = readParams(args);
  if (!params.ok) return tools.fail(params.error);
  const source = sourceWith(args, tools);
  if (!source.ok) return tools.fail(source.error);
  if (flag(args, 'local')) {
    const { runLocal } = await import('../local.ts');
    return runLocal(tools, (client) => submit(client, source.value, params.value, args, tools));
  }
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  return submit(client.value, source.value, params.value, args, tools);
}

/** The opening, with the folder that is given along. */
function sourceWith(args: Arguments, { environment }: Tools): Result<JsonObject, Failure> {
  const source = readSource(text(args, 'opening') ?? '', environment.cwd);
  const given = text(args, 'folder');
  if (!source.ok || given === undefined) return source;
  const folder = readFolder(given, environment);
  return folder.ok ? ok({ ...source.value, folder: folder.value }) : folder;
}

async function submit(
  client: Client,
  source: JsonObject,
  params: JsonObject,
  args: Arguments,
  tools: Tools,
): Promise<number> {
  const trace = await traceOut(args, tools);
  if (!trace.ok) return tools.fail(trace.error);
  const traceId = newTraceId(systemRandom);
  const submission = client.call(
    'run.submit',
    { ...source, params, on_confirm: text(args, 'on-confirm') ?? 'wait', priority: args['priority'] ?? 0 },
    { traceId, timeoutMs: 120_000 },
  );
  const submitted = await patiently(tools.screen, submission);
  if (!submitted.ok) return refuse(submitted.error, tools);
  if (flag(args, 'detach')) {
    if (tools.json) tools.screen.json(submitted.value);
    else {
      tools.screen.line(traceId);
      tools.screen.note(`follow it: rlp attach ${traceId}`);
    }
    return 0;
  }
  return watch(client, traceId, trace.value, args, tools, true);
}

function refuse(problem: Failure, tools: Tools): number {
  if (!showDiagnostics(problem, tools)) return tools.fail(problem);
  return errorTable[problem.code].exit;
}

/** Finds out before anything runs whether the events can be kept where they were asked for. */
export async function traceOut(args: Arguments, tools: Tools): Promise<Result<string | undefined, Failure>> {
  const file = text(args, 'trace-out');
  if (file === undefined) return ok(undefined);
  const path = resolve(tools.environment.cwd, file);
  return keepTrace(path, '');
}

async function keepTrace(path: string, events: string): Promise<Result<string, Failure>> {
  try {
    await writeFile(path, events);
    return ok(path);
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? String(error);
    return err(failure('Usage', `--trace-out: ${path} cannot be written: ${why}`));
  }
}

export async function watch(
  client: Client,
  traceId: TraceId,
  trace: string | undefined,
  args: Arguments,
  tools: Tools,
  owns: boolean,
): Promise<number> {
  const isTerminal = tools.environment.streams.out.isTTY === true;
  const ndjson = flag(args, 'ndjson') || tools.json || (!isTerminal && !flag(args, 'pretty'));
  const events: string[] | undefined = trace === undefined ? undefined : [];
  const code = await follow({ client, traceId, tools, ndjson, owns, keep: events });
  if (trace === undefined || events === undefined) return code;
  const kept = await keepTrace(trace, events.join(''));
  return kept.ok ? code : tools.fail(kept.error);
}

/** A file where there is one, or something that looks like one; otherwise a name. */
export function readSource(opening: string, cwd: string): Result<JsonObject, Failure> {
  const path = resolve(cwd, opening);
  const looksLikeFile = /[/.]/.test(opening);
  if (!looksLikeFile && !existsSync(path)) return ok({ name: opening });
  try {
    const { size } = statSync(path);
    if (size > openingBytesMax)
      return err(
        failure(
          'InvalidOpening',
          `${opening} has ${(size / 1024 / 1024).toFixed(1)} MiB, an opening may have ${openingBytesMax / 1024 / 1024} MiB`,
        ),
      );
    const text = readFileSync(path, 'utf8');
    const nested = nestedBeside(opening, text, cwd);
    return ok({ file: opening, text, ...(Object.keys(nested).length === 0 ? {} : { nested }) });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT')
      return err(failure('NotFound', `there is no file ${opening}`, { hint: 'openings by name: rlp opening list' }));
    return err(failure('NotFound', `${opening} cannot be read: ${code ?? String(error)}`));
  }
}

/** The openings nested in it that lie in the same folder; the daemon finds the others by itself. */
function nestedBeside(opening: string, source: string, cwd: string): JsonObject {
  const found: { [name: string]: { file: string; text: string } } = {};
  const texts = [{ file: opening, text: source }];
  for (const { file, text } of texts) {
    if (!text.includes('opening:')) continue;
    for (const { use } of parseOpening(file, text).opening?.nodes ?? []) {
      if (use.kind === 'agent' || Object.hasOwn(found, use.name) || texts.length > nestedFilesMax) continue;
      const files = openingFiles(use.name).map((name) => join(dirname(opening), name));
      const inner = files.find((one) => existsSync(resolve(cwd, one)));
      if (inner === undefined) continue;
      const entry = { file: inner, text: readFileSync(resolve(cwd, inner), 'utf8') };
      found[use.name] = entry;
      texts.push(entry);
    }
  }
  return found;
}

export function readParams(args: Arguments): Result<JsonObject, Failure> {
  const given = text(args, 'params');
  let params: JsonObject = {};
  if (given !== undefined) {
    let source = given;
    if (given.startsWith('@')) {
      try {
        source = readFileSync(given.slice(1), 'utf8');
      } catch {
        return err(failure('NotFound', `there is no file ${given.slice(1)} for --params`));
      }
    }
    const parsed = parseJson(source);
    if (!parsed.ok)
      return err(
        failure('InvalidParams', `--params is not JSON: ${parsed.error}`, {
          hint: `for example: --params '{"topic":"Q4 plan"}'`,
        }),
      );
    if (!isJsonObject(parsed.value))
      return err(
        failure('InvalidParams', '--params must be a JSON map', {
          hint: `for example: --params '{"topic":"Q4 plan"}'`,
        }),
      );
    params = parsed.value;
  }
  for (const pair of texts(args, 'p')) {
    const at = pair.indexOf('=');
    if (at < 1) return err(failure('Usage', `-p takes name=value, this is "${pair}"`));
    params = { ...params, [pair.slice(0, at)]: valueOf(pair.slice(at + 1)) };
  }
  return ok(params);
}

/** Numbers, booleans, lists and maps as JSON; anything else is text. */
export function valueOf(textValue: string): JsonValue {
  const parsed = parseJson(textValue);
  return parsed.ok ? parsed.value : textValue;
}
