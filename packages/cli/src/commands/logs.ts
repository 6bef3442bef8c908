/**
 * rlp logs: what agents said while they worked.
 */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { isJsonObject, type JsonObject, parseJson, showLine, sleep, systemClock } from '@runloop/core';
import { type Arguments, type Command, flag, number, text, type Tools } from '../command.ts';
import { time } from '../screen.ts';

const pollMs = 200;

export const commands: readonly Command[] = [
  {
    usage: 'logs [agent]',
    about: 'what agents said, the newest last',
    options: {
      follow: { type: 'boolean', alias: 'f', about: 'go on until Ctrl-C' },
      lines: { type: 'number', alias: 'n', about: 'how many', default: 50 },
      trace: { type: 'string', about: 'only of this run' },
    },
    examples: [['rlp logs --follow writer', 'one agent, as it speaks']],
    run,
  },
];

async function run(args: Arguments, tools: Tools): Promise<number> {
  const file = join(tools.environment.root, 'logs', 'agents.log');
  const wanted = (line: JsonObject): boolean =>
    (text(args, 'agent') === undefined || line['agent'] === text(args, 'agent')) &&
    (text(args, 'trace') === undefined || line['trace_id'] === text(args, 'trace'));
  const last: JsonObject[] = [];
  const max = number(args, 'lines') ?? 50;
  let at = await read(file, 0, (line) => {
    if (!wanted(line)) return;
    last.push(line);
    if (last.length > max) last.shift();
  });
  for (const line of last) show(line, tools);
  if (!flag(args, 'follow')) {
    if (last.length === 0 && !tools.json) tools.screen.note('no agent has said anything yet');
    return 0;
  }
  const { interrupted } = tools.environment;
  while (!interrupted.aborted) {
    const size = await stat(file).then(
      (found) => found.size,
      () => 0,
    );
    if (size < at) at = 0;
    if (size > at) at = await read(file, at, (line) => void (wanted(line) && show(line, tools)));
    else await waitRef(interrupted);
  }
  return 0;
}

/** Reads whole lines from `from` on; answers where the next one begins. */
async function read(file: string, from: number, take: (line: JsonObject) => void): Promise<number> {
  const size = await stat(file).then(
    (found) => found.size,
    () => 0,
  );
  if (size <= from) return from;
  const lines = createInterface({ input: createReadStream(file, { start: from, end: size - 1 }) });
  let at = from;
  for await (const line of lines) {
    const parsed = parseJson(line);
    if (parsed.ok && isJsonObject(parsed.value)) take(parsed.value);
    else if (at + Buffer.byteLength(line) >= size) return at;
    at += Buffer.byteLength(line) + 1;
  }
  return Math.min(at, size);
}

function show(line: JsonObject, tools: Tools): void {
  if (tools.json) {
    tools.screen.json(line);
    return;
  }
  const {
    ts_ms: ts,
    agent,
    node,
    level,
    text: said,
  } = line as { ts_ms: number; agent: string; node: string; level: string; text: string };
  tools.screen.line(
    `${tools.screen.paint('dim', time(ts))} ${showLine(agent)}/${showLine(node)} ${showLine(level)}: ${showLine(said)}`,
  );
}

/** Waits a little, keeping the process alive for it. */
async function waitRef(signal: AbortSignal): Promise<void> {
  const alive = createKeeper();
  await sleep(systemClock, pollMs, signal);
  alive();
}

function createKeeper(): () => void {
  const channel = new MessageChannel();
  channel.port1.ref();
  return () => channel.port1.close();
}
