/**
 * rlp trace: a run as a ladder of crossings, a tree, a page of HTML, or spans for other tools.
 */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { failure, type Failure, ok, type Result, showLine } from '@runloop/core';
import { type Arguments, type Command, flag, text, type Tools, traceOf } from '../command.ts';
import { readTape, type Tape } from '../trace/read-tape.ts';
import type { Screen } from '../screen.ts';

export const commands: readonly Command[] = [
  {
    usage: 'trace <trace>',
    about: 'what happened in a run, step by step: who handed what to whom',
    options: {
      ladder: {
        type: 'boolean',
        about: 'every crossing between client, daemon, nodes, host and outside (the default)',
      },
      tree: { type: 'boolean', about: 'nodes, attempts and calls, with durations and costs' },
      html: { type: 'string', about: 'write a page that shows it over time to this file' },
      otlp: { type: 'boolean', about: 'print OpenTelemetry spans (OTLP/JSON)' },
    },
    examples: [
      ['rlp trace 4f2c…', 'who handed what to whom, when, and how many bytes'],
      ['rlp trace 4f2c… --tree', 'where the time and the money went'],
      ['rlp trace 4f2c… --html run.html', 'one file for the browser, nothing else needed'],
      ['rlp trace 4f2c… --otlp > spans.json', 'for tools that read OpenTelemetry'],
    ],
    run,
  },
];

async function run(args: Arguments, tools: Tools): Promise<number> {
  const asked = ['ladder', 'tree', 'otlp'].filter((view) => flag(args, view));
  const file = text(args, 'html');
  if (asked.length + (file === undefined ? 0 : 1) > 1)
    return tools.fail(failure('Usage', 'rlp trace shows one view at a time', { hint: 'leave all but one out' }));
  const tape = await tapeOf(args, tools);
  if (!tape.ok) return tools.fail(tape.error);
  const { timelineOf } = await import('../trace/timeline.ts');
  if (asked[0] === 'otlp') {
    const { otlpOf } = await import('../trace/otlp.ts');
    const { version } = await import('../version.ts');
    tools.screen.json(otlpOf(timelineOf(tape.value), version));
    return 0;
  }
  if (file !== undefined) return await writePage(tape.value, file, tools);
  if (tools.json && asked[0] !== 'ladder') tools.screen.json(timelineOf(tape.value));
  else if (asked[0] === 'tree') await showTree(tape.value, tools.screen, tools);
  else await showLadder(tape.value, tools);
  return 0;
}

async function tapeOf(args: Arguments, tools: Tools): Promise<Result<Tape, Failure>> {
  const traceId = traceOf(args);
  if (!traceId.ok) return traceId;
  const client = await tools.connect();
  if (!client.ok) return client;
  const tape = await readTape(client.value, traceId.value);
  return tape.ok ? ok(tape.value) : tape;
}

async function writePage(tape: Tape, file: string, tools: Tools): Promise<number> {
  const { htmlOf } = await import('../trace/html.ts');
  const { timelineOf } = await import('../trace/timeline.ts');
  try {
    writeFileSync(resolve(tools.environment.cwd, file), htmlOf(timelineOf(tape)));
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? String(error);
    return tools.fail(failure('Usage', `--html: ${file} cannot be written: ${why}`));
  }
  if (tools.json) tools.screen.json({ file });
  else tools.screen.note(`rlp: written to ${showLine(file)}`);
  return 0;
}

async function showLadder(tape: Tape, tools: Tools): Promise<void> {
  const { ladderOf } = await import('../trace/ladder.ts');
  const crossings = ladderOf(tape);
  const { screen } = tools;
  if (tools.json) return screen.json(crossings);
  const route = crossings.map(({ from, to }) => `${showLine(from)} → ${showLine(to)}`);
  const width = Math.min(36, Math.max(...route.map((one) => one.length), 7));
  const longest = Math.max(...crossings.map((one) => showLine(one.what).length), 4);
  const what = Math.min(longest, Math.max(12, room(screen, tools) - width - 22));
  screen.line(
    screen.paint(
      'dim',
      `${'at'.padStart(9)}  ${'from → to'.padEnd(width)}  ${'what'.padEnd(what)} ${'bytes'.padStart(8)}`.trimEnd(),
    ),
  );
  for (const [i, { at_ms, what: said, bytes }] of crossings.entries()) {
    const left = `${seconds(at_ms).padStart(9)}  ${fit(route[i] ?? '', width)}  ${fit(showLine(said), what)}`;
    screen.line(`${left} ${(bytes === null ? '' : String(bytes)).padStart(8)}`.trimEnd());
  }
}

async function showTree(tape: Tape, screen: Screen, tools: Tools): Promise<void> {
  const { timelineOf } = await import('../trace/timeline.ts');
  const { treeOf } = await import('../trace/tree.ts');
  const width = Math.max(30, room(screen, tools) - 20);
  for (const { text: label, took, cost } of treeOf(timelineOf(tape)))
    screen.line(`${fit(label, width)} ${took.padStart(9)} ${cost.padStart(9)}`.trimEnd());
}

/** Columns: the terminal's, or as many as make the lines of a file worth reading. */
function room(screen: Screen, { environment }: Tools): number {
  return environment.streams.out.isTTY === true ? screen.width : Math.max(screen.width, 120);
}

function fit(line: string, width: number): string {
  return line.length > width ? `${line.slice(0, width - 1)}…` : line.padEnd(width);
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(3)} s`;
}
