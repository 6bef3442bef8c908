/**
 * rlp torture: an opening on a made-up world, crashed before and after everything that it changes.
 */
import { failure, showLine, systemClock, systemRandom } from '@runloop/core';
import type { TortureReport } from '@runloop/daemon/torture';
import { type Arguments, type Command, text, type Tools } from '../command.ts';
import { showDiagnostics } from '../show-diagnostics.ts';
import { readParams, readSource } from './run.ts';

export const commands: readonly Command[] = [
  {
    usage: 'torture <opening>',
    about: 'crash an opening at every place, on a copy of your ledger and a made-up world, and say what does not hold',
    options: {
      params: { type: 'string', about: 'parameters as JSON, or @file' },
      p: { type: 'array', about: 'one parameter, name=value' },
      every: { type: 'number', about: 'of the places to crash at, every how many', default: 1 },
      seed: { type: 'string', about: 'what decides the order of what happens at once', default: '1' },
    },
    examples: [
      ['rlp torture compose_email', '0 when nothing is lost, done twice or asked twice'],
      ['rlp torture my_opening.yaml --every 5 --json', 'one place in five, the report as JSON'],
    ],
    run,
  },
];

const faultsShownMax = 10;

async function run(args: Arguments, tools: Tools): Promise<number> {
  const params = readParams(args);
  if (!params.ok) return tools.fail(params.error);
  const source = readSource(text(args, 'opening') ?? '', tools.environment.cwd);
  if (!source.ok) return tools.fail(source.error);
  const every = Number(args['every'] ?? 1);
  if (!Number.isSafeInteger(every) || every < 1)
    return tools.fail(failure('Usage', '--every must be a whole number from 1'));
  const config = await tools.config();
  if (!config.ok) return tools.fail(config.error);
  const { checkoutRoot } = await import('@runloop/daemon');
  const { tortureAtHome } = await import('@runloop/daemon/torture');
  const { file, text: written, name, nested } = source.value;
  const { screen } = tools;
  screen.note('rlp: nothing leaves: mail, requests, commands and models end in a made-up world');
  const report = await tortureAtHome(
    { clock: systemClock, random: systemRandom, log: { log: () => undefined } },
    {
      root: tools.environment.root,
      config: config.value.config,
      checkout: checkoutRoot(import.meta.dirname),
      homeDir: tools.environment.env['HOME'] ?? '/nonexistent',
      source: written === undefined ? String(name) : { file: String(file), text: String(written) },
      nested: nested === undefined ? {} : (nested as never),
      params: params.value,
      seed: text(args, 'seed') ?? '1',
      every,
    },
    (done, all) => screen.progress(`crash ${done} of ${all}`),
  );
  screen.progress('');
  if (!report.ok) return showDiagnostics(report.error, tools) ? 65 : tools.fail(report.error);
  if (tools.json) screen.json(report.value);
  else show(report.value, tools);
  return report.value.faults.length === 0 ? 0 : 1;
}

function show({ ending, boundaries, crashes, deeds, faults }: TortureReport, { screen }: Tools): void {
  const nodes = Object.keys(ending.nodes).length;
  screen.line(
    `without a crash it ${showLine(ending.state)}: ${nodes} nodes, ${boundaries} places to crash at, ${deeds} effects outside`,
  );
  if (faults.length === 0) {
    screen.line(
      screen.paint('green', `${crashes} crashes: nothing lost, nothing done or asked twice, and it ends the same`),
    );
    return;
  }
  screen.line(screen.paint('red', `${crashes} crashes, ${faults.length} of them did harm`));
  for (const { crash, at, broken } of faults.slice(0, faultsShownMax)) {
    screen.line(`  ${crash.when} place ${crash.boundary} (${showLine(at)})`);
    for (const rule of broken) screen.line(`    ${showLine(rule)}`);
  }
  if (faults.length > faultsShownMax) screen.line(`  and ${faults.length - faultsShownMax} more; all of them: --json`);
}
