/**
 * rlp diff: where two runs part.
 */
import { type Failure, type JsonValue, ok, parseJson, type Result, showLine } from '@runloop/core';
import type { Client } from '@runloop/sdk';
import { type Arguments, type Command, text, type Tools, traceOf } from '../command.ts';
import { dollars, duration, type Screen } from '../screen.ts';
import { differences, type Side } from '../trace/diff.ts';
import { readTape, type Tape } from '../trace/read-tape.ts';
import { timelineOf } from '../trace/timeline.ts';

/** Bytes of a value in a blob that is shown beside its digest. */
const shownBytesMax = 2048;

type Shown = { readonly digest?: string; readonly value?: JsonValue };

export const commands: readonly Command[] = [
  {
    usage: 'diff <a> <b>',
    about:
      'where two runs part: openings, parameters, agents, calls, outputs, cost and time; 0 if nothing but time differs',
    examples: [['rlp diff 4f2c… 9a01…', 'a run and its fork, or the same opening on two days']],
    run,
  },
];

async function run(args: Arguments, tools: Tools): Promise<number> {
  const a = traceOf({ trace: text(args, 'a') });
  if (!a.ok) return tools.fail(a.error);
  const b = traceOf({ trace: text(args, 'b') });
  if (!b.ok) return tools.fail(b.error);
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const left = await readTape(client.value, a.value);
  if (!left.ok) return tools.fail(left.error);
  const right = await readTape(client.value, b.value);
  if (!right.ok) return tools.fail(right.error);
  const found = [];
  for (const { where, a: one, b: other } of differences(left.value, right.value))
    found.push({
      where,
      a: await shown(client.value, one, left.value),
      b: await shown(client.value, other, right.value),
    });
  if (tools.json) {
    const runs = { a: headOf(left.value), b: headOf(right.value) };
    tools.screen.json({ equal: found.length === 0, ...runs, differences: found });
  } else show(tools.screen, left.value, right.value, found);
  return found.length === 0 ? 0 : 1;
}

function show(
  screen: Screen,
  a: Tape,
  b: Tape,
  found: readonly { readonly where: string; readonly a: Shown; readonly b: Shown }[],
): void {
  for (const [name, tape] of [
    ['a', a],
    ['b', b],
  ] as const) {
    const { trace_id, opening, state, duration_ms, usd_nano } = headOf(tape);
    screen.line(`${name}  ${trace_id}  ${showLine(opening)} ${state}, ${duration(duration_ms)}, ${dollars(usd_nano)}`);
  }
  screen.line();
  for (const one of found) {
    screen.line(screen.paint('bold', showLine(one.where)));
    screen.line(cut(screen, `  a  ${lineOf(one.a)}`));
    screen.line(cut(screen, `  b  ${lineOf(one.b)}`));
  }
  if (found.length === 0) screen.line(screen.paint('green', 'equal but for their times'));
}

function headOf(tape: Tape): {
  trace_id: string;
  opening: string;
  state: string;
  duration_ms: number;
  tokens: number;
  usd_nano: number;
} {
  const { trace_id, name, state, began_ms, ended_ms, cost } = timelineOf(tape);
  return { trace_id, opening: name, state, duration_ms: ended_ms - began_ms, ...cost };
}

async function shown(client: Client, side: Side, { bytes }: Tape): Promise<Shown> {
  if ('json' in side) return { value: side.json };
  const digest = side.blob;
  if ((bytes.get(digest) ?? Infinity) > shownBytesMax) return { digest };
  const value = await valueOf(client, digest);
  return value.ok ? { digest, value: value.value } : { digest };
}

async function valueOf(client: Client, digest: string): Promise<Result<JsonValue, Failure>> {
  const blob = await client.call('kb.blob', { digest });
  if (!blob.ok) return blob;
  const { base64 } = blob.value as { readonly base64: string };
  const parsed = parseJson(Buffer.from(base64, 'base64').toString());
  return ok(parsed.ok ? parsed.value : null);
}

function lineOf({ digest, value }: Shown): string {
  const short = digest === undefined ? '' : `${digest.slice(0, 12)}… `;
  return showLine(`${short}${value === undefined ? '(too large to show)' : JSON.stringify(value)}`);
}

function cut(screen: Screen, line: string): string {
  return line.length > screen.width ? `${line.slice(0, screen.width - 1)}…` : line;
}
