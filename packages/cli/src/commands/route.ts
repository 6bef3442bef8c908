/**
 * rlp route and rlp why: where a line goes, for programs and for people.
 *
 * `route` is answered by the fast path; here it has its help.
 */
import { errorTable, failure, showLine } from '@runloop/core';
import { type Decision, route as decide } from '@runloop/router';
import { type Arguments, type Command, flag, number, text, type Tools } from '../command.ts';
import { lookups, routerConfig } from '../lookup.ts';
import { route } from '../route.ts';

export const commands: readonly Command[] = [
  {
    usage: 'route [prompt]',
    about: 'say whether a line is for the shell (exit 10) or the agents (exit 11); 12 when time ran out',
    options: {
      stdin: { type: 'boolean', about: 'read the line from standard input' },
      'timeout-ms': { type: 'number', about: 'how long it may take', default: 200 },
    },
    examples: [
      ['rlp route "ls -la"', '{"version":1,"route":"shell",…}, exit 10'],
      ['rlp route "find the bug in my parser"', '{"version":1,"route":"agent",…}, exit 11'],
      ['printf \'%s\' "$line" | rlp route --stdin', 'as a shell plug-in asks'],
    ],
    run: async (args) => {
      const prompt = text(args, 'prompt');
      const code = await route([
        ...(flag(args, 'stdin') ? ['--stdin'] : []),
        `--timeout-ms=${number(args, 'timeout-ms') ?? 200}`,
        ...(prompt === undefined ? [] : ['--', prompt]),
      ]);
      return code ?? errorTable.Usage.exit;
    },
  },
  {
    usage: 'why <prompt>',
    about: 'explain how a line is routed',
    examples: [
      ['rlp why "make me a table of costs"', 'the rule, and what spoke for each side'],
      ['rlp why "make test" --json', 'the same for programs'],
    ],
    run: why,
  },
];

async function why(args: Arguments, tools: Tools): Promise<number> {
  const line = text(args, 'prompt');
  if (line === undefined) return tools.fail(failure('Usage', 'a prompt is needed', { hint: 'rlp why "<prompt>"' }));
  const config = await tools.config();
  if (!config.ok) return tools.fail(config.error);
  const { env, cwd } = tools.environment;
  const decision = decide({ line, ...lookups({ env, cwd }), config: routerConfig(config.value.config.router) });
  if (tools.json) {
    tools.screen.json(decision);
    return 0;
  }
  show(decision, tools);
  return 0;
}

function show(decision: Decision, { screen }: Tools): void {
  const { features } = decision;
  const to = decision.blocked ? 'blocked' : decision.route === 'shell' ? 'the shell' : 'the agents';
  screen.line(`${screen.paint('bold', to)}  ${screen.paint('dim', `rule: ${showLine(decision.rule)}`)}`);
  screen.line(`  text      ${showLine(decision.text)}`);
  if (features.command !== '') screen.line(`  command   ${showLine(features.command)}`);
  screen.line(`  commands  ${features.commands}`);
  screen.line(`  language  ${features.language.toFixed(2)}`);
  screen.line(`  shell     ${features.shell.toFixed(2)}`);
  if (features.open !== undefined) screen.line(`  open      ${showLine(features.open)} is not closed`);
  for (const reason of decision.reasons) screen.line(`  - ${showLine(reason)}`);
}
