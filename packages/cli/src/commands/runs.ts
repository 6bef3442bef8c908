/**
 * rlp runs, show, pause, resume, step, cancel: looking at runs and telling them what to do.
 */
import { systemClock } from '@runloop/core';
import { type Arguments, type Command, number, text, type Tools, traceOf } from '../command.ts';
import { ago, duration, time } from '../screen.ts';

type RunRow = {
  trace_id: string;
  name: string;
  state: string;
  reason?: string | null;
  accepted_ms: number;
  duration_ms?: number | null;
  tokens?: number | null;
  usd_nano?: number | null;
};
type NodeRow = {
  id: string;
  agent: string;
  state: string;
  attempts: number;
  duration_ms?: number | null;
  waits_for?: string | null;
  reason?: string | null;
};

export const commands: readonly Command[] = [
  {
    usage: 'runs',
    about: 'list runs, the newest first',
    options: {
      state: {
        type: 'string',
        about: 'only these',
        choices: ['accepted', 'running', 'waiting', 'paused', 'succeeded', 'failed', 'cancelled'],
      },
      max: { type: 'number', about: 'how many', default: 20 },
    },
    examples: [['rlp runs --state waiting', 'what waits for somebody']],
    run: list,
  },
  {
    usage: 'show <trace>',
    about: 'one run and its nodes',
    examples: [['rlp show 4f2c…', 'states, attempts, times']],
    run: show,
  },
  order('pause', 'let a run start nothing more'),
  order('resume', 'let a paused run go on'),
  order('step', 'let a paused run start one node'),
  order('cancel', 'end a run and what it is doing'),
];

async function list(args: Arguments, tools: Tools): Promise<number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const found = await client.value.call('run.list', {
    max: number(args, 'max') ?? 20,
    ...(text(args, 'state') === undefined ? {} : { state: text(args, 'state') }),
  });
  if (!found.ok) return tools.fail(found.error);
  const { runs } = found.value as unknown as { runs: readonly RunRow[] };
  if (tools.json) tools.screen.json(runs);
  else if (runs.length === 0) tools.screen.note('no runs yet; start one: rlp run hello');
  else {
    tools.screen.table(
      ['trace', 'opening', 'state', 'when', 'took', 'reason'],
      runs.map((run) => [
        run.trace_id,
        run.name,
        run.state,
        ago(systemClock.nowMs() - run.accepted_ms),
        typeof run.duration_ms === 'number' ? duration(run.duration_ms) : '-',
        run.reason ?? '',
      ]),
    );
  }
  return 0;
}

async function show(args: Arguments, tools: Tools): Promise<number> {
  const traceId = traceOf(args);
  if (!traceId.ok) return tools.fail(traceId.error);
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const found = await client.value.call('run.show', { trace_id: traceId.value });
  if (!found.ok) return tools.fail(found.error);
  const run = found.value as unknown as RunRow & { nodes: readonly NodeRow[] };
  if (tools.json) {
    tools.screen.json(run);
    return 0;
  }
  const { screen } = tools;
  screen.line(`${screen.paint('bold', run.name)}  ${run.trace_id}`);
  screen.line(
    `${run.state}${run.reason === null || run.reason === undefined ? '' : `: ${run.reason}`}, accepted ${time(run.accepted_ms)}${typeof run.duration_ms === 'number' ? `, took ${duration(run.duration_ms)}` : ''}`,
  );
  screen.line();
  screen.table(
    ['node', 'agent', 'state', 'tries', 'took', ''],
    run.nodes.map((node) => [
      node.id,
      node.agent,
      node.state,
      String(node.attempts),
      typeof node.duration_ms === 'number' ? duration(node.duration_ms) : '-',
      node.waits_for === null || node.waits_for === undefined ? (node.reason ?? '') : `waits for ${node.waits_for}`,
    ]),
  );
  return 0;
}

function order(op: 'pause' | 'resume' | 'step' | 'cancel', about: string): Command {
  return {
    usage: `${op} <trace>`,
    about,
    examples: [[`rlp ${op} 4f2c…`, 'the trace id that rlp runs shows']],
    async run(args, tools) {
      const traceId = traceOf(args);
      if (!traceId.ok) return tools.fail(traceId.error);
      const client = await tools.connect();
      if (!client.ok) return tools.fail(client.error);
      const done = await client.value.call(`run.${op}`, { trace_id: traceId.value });
      if (!done.ok) return tools.fail(done.error);
      if (tools.json) tools.screen.json(done.value);
      return 0;
    },
  };
}
