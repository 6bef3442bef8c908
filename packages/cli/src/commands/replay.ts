/**
 * rlp replay: runs finished runs again over their tapes, without a daemon, and says whether they came out equal.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import {
  err,
  errorTable,
  failure,
  type Failure,
  ok,
  parseTraceId,
  type Result,
  showLine,
  systemClock,
  systemRandom,
} from '@runloop/core';
import type { NodeReplay, Replayer, ReplayReport } from '@runloop/daemon';
import { type Arguments, type Command, flag, text, type Tools, traceOf } from '../command.ts';
import { showDiagnostics } from '../show-diagnostics.ts';

type Given = NonNullable<Parameters<Replayer['replay']>[2]>;

export const commands: readonly Command[] = [
  {
    usage: 'replay [trace]',
    about: 'run a finished run again over its tape, or a tape from a file, and compare; calls nobody',
    options: {
      all: { type: 'boolean', about: 'every run that has finished' },
      opening: {
        type: 'string',
        about: 'with the settings (`with`) that this file gives the nodes: where would they part?',
      },
      export: { type: 'string', about: 'write the tape to this file instead, for another machine' },
    },
    examples: [
      ['rlp replay 4f2c…', '0 only if everything is equal'],
      ['rlp replay 4f2c… --opening draft2.yaml', 'the first node and call that another prompt would change'],
      ['rlp replay 4f2c… --export run.tape', 'data only; its values may be private'],
      ['rlp replay run.tape', 'a tape from elsewhere: its agents must be installed and trusted here'],
    ],
    run,
  },
];

async function run(args: Arguments, tools: Tools): Promise<number> {
  const config = await tools.config();
  if (!config.ok) return tools.fail(config.error);
  const { openReplayer } = await import('@runloop/daemon');
  const opened = await openReplayer(
    { clock: systemClock, random: systemRandom, log: { log: () => undefined } },
    { root: tools.environment.root, config: config.value.config },
  );
  if (!opened.ok) return tools.fail(opened.error);
  await using replayer = opened.value;
  if (flag(args, 'all')) return await replayAll(replayer, tools);
  const tape = await tapeOf(args, tools);
  if (!tape.ok) return tools.fail(tape.error);
  const file = text(args, 'export');
  if (file !== undefined) return await exportTape(replayer, tape.value.traceId, file, tools);
  const report = await replayer.replay(tape.value.traceId, (node) => progress(node, tools), tape.value);
  if (!report.ok)
    return showDiagnostics(report.error, tools) ? errorTable[report.error.code].exit : tools.fail(report.error);
  if (tools.json) tools.screen.json(report.value);
  else conclude(report.value, report.value.name, tools);
  return report.value.equal ? 0 : 1;
}

/** The run that is meant: one of this state directory by its trace id, or the one in a file. */
async function tapeOf(args: Arguments, tools: Tools): Promise<Result<Given & { readonly traceId: string }, Failure>> {
  const named = text(args, 'trace');
  if (named === undefined)
    return err(failure('Usage', 'rlp replay needs a trace id or a file', { hint: 'see: rlp runs; or --all' }));
  const { cwd } = tools.environment;
  const changed = text(args, 'opening');
  const opening = changed === undefined ? ok(undefined) : readText(changed, cwd);
  if (!opening.ok) return opening;
  const given = opening.value === undefined ? {} : { opening: { file: changed ?? '', text: opening.value } };
  if (parseTraceId(named).ok || !existsSync(resolve(cwd, named))) {
    const traceId = traceOf(args);
    return traceId.ok ? ok({ traceId: traceId.value, ...given }) : traceId;
  }
  const { readTapeFile, tapeFileBytesMax } = await import('@runloop/daemon');
  const { size } = statSync(resolve(cwd, named));
  if (size > tapeFileBytesMax)
    return err(failure('LimitExceeded', `${named} has ${size} bytes, a tape may have ${tapeFileBytesMax}`));
  const content = readText(named, cwd);
  if (!content.ok) return content;
  const read = readTapeFile(content.value, named);
  return read.ok ? ok({ ...read.value, ...given }) : read;
}

function readText(file: string, cwd: string): Result<string, Failure> {
  try {
    return ok(readFileSync(resolve(cwd, file), 'utf8'));
  } catch (error) {
    return err(
      failure('NotFound', `${file} cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}`),
    );
  }
}

async function replayAll(replayer: Replayer, tools: Tools): Promise<number> {
  const finished = await replayer.finished();
  if (!finished.ok) return tools.fail(finished.error);
  const reports: (
    | ReplayReport
    | { readonly trace_id: string; readonly equal: false; readonly error: Failure }
    | { readonly trace_id: string; readonly forgotten: true }
  )[] = [];
  for (const traceId of finished.value) {
    const report = await replayer.replay(traceId, () => undefined);
    if (!report.ok && report.error.details?.['forgotten'] === true) {
      reports.push({ trace_id: traceId, forgotten: true });
      if (!tools.json) tools.screen.line(`replay: forgotten (${traceId})`);
      continue;
    }
    const one = report.ok ? report.value : { trace_id: traceId, equal: false as const, error: report.error };
    reports.push(one);
    if (tools.json) continue;
    if (!('error' in one)) conclude(one, `${one.name}, ${traceId}`, tools);
    else tools.screen.failure(one.error);
  }
  if (tools.json) tools.screen.json(reports);
  else if (reports.length === 0) tools.screen.note('rlp: no run has finished yet');
  return reports.every((one) => 'forgotten' in one || one.equal) ? 0 : 1;
}

function progress(node: NodeReplay, { json, screen }: Tools): void {
  if (json) return;
  const attempt = node.attempt > 1 ? ` (attempt ${node.attempt})` : '';
  const calls = node.calls === 1 ? '1 host call' : `${node.calls} host calls`;
  screen.line(`  ${node.equal ? '✓' : '✗'} ${showLine(node.node)}${attempt}  ${calls}, ${node.how}`);
}

function conclude({ equal, nodes, divergence }: ReplayReport, of: string, { screen }: Tools): void {
  if (equal) {
    screen.line(screen.paint('green', `replay: equal (${nodes.length} attempts of ${showLine(of)})`));
    return;
  }
  const node = divergence?.node ?? '';
  const place = node === '' ? 'the run itself' : `node ${node}`;
  screen.line(screen.paint('red', showLine(`replay: differs at ${place}, ${divergence?.what ?? ''} (${of})`)));
  screen.line(`  recorded: ${showLine(JSON.stringify(divergence?.recorded))}`);
  screen.line(`  replayed: ${showLine(JSON.stringify(divergence?.replayed))}`);
}

async function exportTape(replayer: Replayer, traceId: string, file: string, tools: Tools): Promise<number> {
  const lines = await replayer.lines(traceId);
  if (!lines.ok) return tools.fail(lines.error);
  try {
    await using out = await open(resolve(tools.environment.cwd, file), 'w', 0o600);
    for await (const line of lines.value) await out.writeFile(line);
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? String(error);
    return tools.fail(failure('Usage', `--export: ${file} cannot be written: ${why}`));
  }
  if (tools.json) tools.screen.json({ file, trace_id: traceId });
  else tools.screen.note(`rlp: written to ${showLine(file)}; it holds what the run was told and gave`);
  return 0;
}
