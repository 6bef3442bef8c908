/**
 * rlp plan, rlp lint: what an opening would do, without doing it.
 */
import { errorTable, type Failure, showLine } from '@runloop/core';
import type { Plan } from '@runloop/openings';
import { type Arguments, type Command, text, texts, type Tools } from '../command.ts';
import { duration, counted } from '../screen.ts';
import { showDiagnostics } from '../show-diagnostics.ts';
import { readParams, readSource } from './run.ts';

const parameters = {
  params: { type: 'string', about: 'parameters as JSON, or @file' },
  p: { type: 'array', about: 'one parameter, name=value' },
} as const;

export const commands: readonly Command[] = [
  {
    usage: 'plan <opening>',
    about: 'check an opening and show its order, its waits and its worst case; runs nothing',
    options: parameters,
    examples: [['rlp plan compose_email', 'the order of its nodes']],
    run: (args, tools) => check(args, tools, text(args, 'opening') ?? '', true),
  },
  {
    usage: 'lint <openings..>',
    about: 'check openings; every mistake at once, with its place',
    options: parameters,
    examples: [
      ['rlp lint my_opening.yaml', 'silent and 0 when it is right'],
      ['rlp lint openings/*', 'all of them; 0 when all are right'],
    ],
    run: lint,
  },
];

/** The first refusal tells the exit code. */
async function lint(args: Arguments, tools: Tools): Promise<number> {
  let code = 0;
  for (const opening of texts(args, 'openings')) {
    const its = await check(args, tools, opening, false);
    if (code === 0) code = its;
  }
  return code;
}

async function check(args: Arguments, tools: Tools, opening: string, show: boolean): Promise<number> {
  const params = readParams(args);
  if (!params.ok) return tools.fail(params.error);
  const source = readSource(opening, tools.environment.cwd);
  if (!source.ok) return tools.fail(source.error);
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const planned = await client.value.call(
    'run.plan',
    { ...source.value, params: params.value },
    { timeoutMs: 120_000 },
  );
  if (!planned.ok) return refuse(planned.error, tools);
  if (tools.json) tools.screen.json(planned.value);
  else if (show) print(planned.value as unknown as Shown, tools);
  return 0;
}

function refuse(problem: Failure, tools: Tools): number {
  return showDiagnostics(problem, tools) ? errorTable[problem.code].exit : tools.fail(problem);
}

function groupLine({
  id,
  opening,
  nodes,
  timeout_ms,
  budget_tokens,
  budget_usd,
  success,
}: Plan['groups'][number]): string {
  const most = [
    ...(timeout_ms === undefined ? [] : [duration(timeout_ms)]),
    ...(budget_tokens === undefined ? [] : [counted(budget_tokens, 'token')]),
    ...(budget_usd === undefined ? [] : [`$${budget_usd}`]),
  ];
  const limits = most.length === 0 ? '' : `, at most ${most.join(', ')}`;
  const must = success === undefined ? '' : ', its success must hold too';
  return `${id}/… is opening ${opening}: ${nodes} node${nodes === 1 ? '' : 's'}${limits}${must}`;
}

type Shown = Plan & { readonly trusted: boolean; readonly not_in_force: readonly string[] };

function print(plan: Shown, { screen }: Tools): void {
  screen.line(screen.paint('bold', showLine(plan.name)));
  for (const goal of plan.goals) screen.line(screen.paint('dim', `  ${showLine(goal)}`));
  screen.line();
  screen.table(
    ['wave', 'node', 'agent', 'after', 'tries', 'limit', 'tokens'],
    plan.nodes.map((node) => [
      String(node.wave + 1),
      node.id,
      node.agent,
      node.after.join(', ') || '-',
      String(node.attempts_max),
      node.timeout_ms === undefined ? '-' : duration(node.timeout_ms),
      node.tokens_max === undefined ? '-' : String(node.tokens_max),
    ]),
  );
  screen.line();
  for (const { from, to, when } of plan.edges)
    screen.line(showLine(`  ${from} → ${to}${when === undefined ? '' : `  when ${when}`}`));
  for (const group of plan.groups) screen.line(showLine(`  ${groupLine(group)}`));
  const flows = plan.nodes.filter(({ flow }) => flow.sinks.length > 0 || flow.label.sources.length > 0);
  if (flows.length > 0) screen.line();
  for (const { id, flow } of flows) {
    const carries = [
      ...(flow.label.secrecy === 'private' ? ['private'] : []),
      ...(flow.label.trust === 'untrusted' ? ['untrusted'] : []),
    ];
    const from = [...new Set(flow.label.sources.map(({ what }) => what))].join(', ');
    const leaves = flow.sinks.length === 0 ? '' : `; can leave by ${flow.sinks.join(', ')}`;
    const asked =
      flow.sinks.length === 0 ? '' : flow.confirmed || !plan.trusted ? ', you are asked' : ', NOBODY IS ASKED';
    screen.line(
      showLine(`  ${id}: ${carries.join(', ') || 'public'}${from === '' ? '' : ` (${from})`}${leaves}${asked}`),
    );
  }
  for (const what of plan.not_in_force)
    screen.line(screen.paint('yellow', showLine(`  not in force: ${what}; if you want it: rlp opening trust <file>`)));
  const caps = [
    ...(plan.tokens_max === undefined ? [] : [counted(plan.tokens_max, 'token')]),
    ...(plan.usd_max === undefined ? [] : [`$${plan.usd_max}`]),
    ...(plan.timeout_ms === undefined ? [] : [duration(plan.timeout_ms)]),
  ];
  screen.line();
  screen.line(
    `at most ${caps.length === 0 ? 'nothing is capped' : caps.join(', ')}; nodes of one wave run side by side`,
  );
}
