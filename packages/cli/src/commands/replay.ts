/**
 * rlp replay: runs a finished run again over its tape, without a daemon, and says whether it came out equal.
 */
import { showLine, systemClock, systemRandom } from '@runloop/core';
import { type Arguments, type Command, type Tools, traceOf } from '../command.ts';

export const commands: readonly Command[] = [
  {
    usage: 'replay <trace>',
    about: 'run a finished run again over its tape and compare; calls nobody, writes nothing',
    examples: [['rlp replay 4f2c…', '0 only if everything is equal']],
    run,
  },
];

async function run(args: Arguments, tools: Tools): Promise<number> {
  const traceId = traceOf(args);
  if (!traceId.ok) return tools.fail(traceId.error);
  const config = await tools.config();
  if (!config.ok) return tools.fail(config.error);
  const { replayRun } = await import('@runloop/daemon');
  const quiet = { log: () => undefined };
  const { screen } = tools;
  const report = await replayRun(
    { clock: systemClock, random: systemRandom, log: quiet },
    { root: tools.environment.root, config: config.value.config, traceId: traceId.value },
    (node) => {
      if (!tools.json)
        screen.line(
          `  ${node.equal ? '✓' : '✗'} ${node.node}${node.attempt > 1 ? ` (attempt ${node.attempt})` : ''}  ${node.calls} host calls, ${node.how}`,
        );
    },
  );
  if (!report.ok) return tools.fail(report.error);
  if (tools.json) screen.json(report.value);
  else if (report.value.equal)
    screen.line(
      screen.paint('green', `replay: equal (${report.value.nodes.length} attempts of ${showLine(report.value.name)})`),
    );
  else {
    const { divergence } = report.value;
    screen.line(
      screen.paint(
        'red',
        `replay: differs at node ${showLine(divergence?.node ?? '')}, ${showLine(divergence?.what ?? '')}`,
      ),
    );
    screen.line(`  recorded: ${showLine(JSON.stringify(divergence?.recorded))}`);
    screen.line(`  replayed: ${showLine(JSON.stringify(divergence?.replayed))}`);
  }
  return report.value.equal ? 0 : 1;
}
