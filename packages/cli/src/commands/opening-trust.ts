/**
 * rlp opening trust: agrees to the very text of an opening, so that what it loosens is in force.
 *
 * What it asks for is shown before it is agreed to; another byte in the file is another file.
 */
import { failure, type JsonObject, showLine } from '@runloop/core';
import { askCode, canAsk } from '../ask-approval.ts';
import { type Arguments, type Command, flag, text, type Tools } from '../command.ts';
import { time } from '../screen.ts';
import { readSource } from './run.ts';

export const commands: readonly Command[] = [
  {
    usage: 'opening trust [opening]',
    about: 'agree to what an opening loosens, by the digest of its text; without one, what was agreed to',
    options: {
      remove: { type: 'boolean', about: 'take the agreement back' },
      yes: { type: 'boolean', about: 'do not ask' },
    },
    examples: [
      ['rlp opening trust weekly_report.yaml', 'shows what it asks for first'],
      ['rlp opening trust', 'what was agreed to'],
    ],
    run: trust,
  },
];

type Planned = {
  readonly digest: string;
  readonly name: string;
  readonly trusted: boolean;
  readonly not_in_force: readonly string[];
};

async function trust(args: Arguments, tools: Tools): Promise<number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const given = text(args, 'opening');
  if (given === undefined) return list(tools);
  const source = readSource(given, tools.environment.cwd);
  if (!source.ok) return tools.fail(source.error);
  const planned = await client.value.call('run.plan', source.value, { timeoutMs: 120_000 });
  if (!planned.ok) return tools.fail(planned.error);
  const plan = planned.value as unknown as Planned;
  const { digest, name, trusted, not_in_force: wanted } = plan;
  if (flag(args, 'remove')) {
    const taken = await client.value.call('agreement.take', { kind: 'opening', digest });
    if (!taken.ok) return tools.fail(taken.error);
    tools.screen.note(`${showLine(name)}: what it loosens is not in force any more`);
    return 0;
  }
  if (trusted || wanted.length === 0) {
    tools.screen.note(
      trusted
        ? `${showLine(name)} was agreed to already`
        : `${showLine(name)} loosens nothing: there is nothing to agree to`,
    );
    return 0;
  }
  tools.screen.note(`${showLine(name)} (${digest.slice(0, 16)}…) asks for:`);
  for (const one of wanted) tools.screen.note(`  ${showLine(one)}`);
  if (!flag(args, 'yes')) {
    if (!canAsk(tools.environment))
      return tools.fail(
        failure('ApprovalRequired', 'nobody is there to agree', { hint: 'add --yes, or run it in a terminal' }),
      );
    if ((await askCode(tools, digest)) !== 'approve') {
      tools.screen.note('nothing was agreed to');
      return 1;
    }
  }
  const given_ = await client.value.call('agreement.give', { kind: 'opening', digest, name });
  if (!given_.ok) return tools.fail(given_.error);
  if (tools.json) tools.screen.json(given_.value);
  else tools.screen.note('agreed: runs of this very text may do that');
  return 0;
}

async function list(tools: Tools): Promise<number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const found = await client.value.call('agreement.list', { kind: 'opening' });
  if (!found.ok) return tools.fail(found.error);
  const { agreements } = found.value as unknown as { agreements: readonly JsonObject[] };
  if (tools.json) tools.screen.json(agreements);
  else if (agreements.length === 0) tools.screen.note('no opening was agreed to: none loosens anything');
  else
    tools.screen.table(
      ['name', 'digest', 'since'],
      agreements.map(({ name, digest, ts_ms }) => [
        showLine(String(name)),
        String(digest).slice(0, 16),
        time(Number(ts_ms)),
      ]),
    );
  return 0;
}
