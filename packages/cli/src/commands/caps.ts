/**
 * rlp caps: what an agent may do and which layer took what; what is wrong or too broad in a policy.caps.
 */
import { errorTable, showLine } from '@runloop/core';
import { brief, isNothing } from '../brief.ts';
import { type Arguments, type Command, text, type Tools } from '../command.ts';
import { folderOf } from './agent-life.ts';

export const commands: readonly Command[] = [
  {
    usage: 'caps show <agent>',
    about: 'what an agent asks for, what its signer and your override leave, and what it may do',
    examples: [['rlp caps show mailer', 'your override: <state directory>/caps/mailer.caps']],
    run: show,
  },
  {
    usage: 'caps lint <agent>',
    about: 'what is wrong or too broad in a policy.caps; of an agent by name, or of a folder',
    examples: [
      ['rlp caps lint ./my_agent', '65 when something is wrong'],
      ['rlp caps lint mailer', ''],
    ],
    run: lint,
  },
];

type Row = {
  readonly key: string;
  readonly asks: unknown;
  readonly anchor: unknown;
  readonly override: unknown;
  readonly effective: unknown;
};

async function show(args: Arguments, tools: Tools): Promise<number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const found = await client.value.call('caps.show', { name: text(args, 'agent') ?? '' }, { timeoutMs: 120_000 });
  if (!found.ok) return tools.fail(found.error);
  if (tools.json) {
    tools.screen.json(found.value);
    return 0;
  }
  const { name, signer, trusted, rows, warnings } = found.value as unknown as {
    name: string;
    signer: string;
    trusted: boolean;
    rows: readonly Row[];
    warnings: readonly string[];
  };
  const { screen } = tools;
  screen.line(`${screen.paint('bold', name)}, signed by ${showLine(signer)}${trusted ? '' : ' (not trusted)'}`);
  const shown = rows.filter(({ asks, override }) => !isNothing(asks) || override !== null);
  if (shown.every(({ key }) => key === 'limits')) screen.line('  it asks for nothing: it can only compute');
  for (const { key, asks, anchor, override, effective } of shown) {
    const same = JSON.stringify(asks) === JSON.stringify(effective);
    const words = brief(effective).split(/(?<=,) /);
    screen.wrapped(`  ${key}: `, same ? words : [...words, screen.paint('yellow', '(narrowed)')], key.length + 4);
    if (same) continue;
    for (const [who, word] of [
      ['bundle asks', asks] as const,
      [`signer ${signer}`, anchor] as const,
      ['your override', override] as const,
    ])
      if (word !== null) screen.line(screen.paint('dim', `      ${who}: ${brief(word)}`));
  }
  for (const warning of warnings) screen.note(`rlp: warning: ${showLine(warning)}`);
  return 0;
}

async function lint(args: Arguments, tools: Tools): Promise<number> {
  const { lintFolder } = await import('@runloop/daemon');
  const dir = await folderOf(text(args, 'agent') ?? '', tools);
  if (!dir.ok) return tools.fail(dir.error);
  const found = await lintFolder(dir.value);
  if (!found.ok) return tools.fail(found.error);
  const { screen } = tools;
  if (tools.json) screen.json(found.value);
  else if (found.value.length === 0) screen.line('nothing to complain about');
  else
    for (const { severity, key, message } of found.value) {
      const head = screen.paint(severity === 'error' ? 'red' : 'yellow', severity);
      screen.line(`${head}: ${key === '' ? '' : `${key}: `}${showLine(message)}`);
    }
  return found.value.some(({ severity }) => severity === 'error') ? errorTable.InvalidBundle.exit : 0;
}
