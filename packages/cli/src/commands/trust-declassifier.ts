/**
 * rlp trust declassifier: pins one agent, as it is now, as one whose answers are no secret any more.
 *
 * It never raises trust, and another build of the agent is another digest: it has to be pinned again.
 */
import { isJsonObject, type JsonObject, showLine } from '@runloop/core';
import { type Arguments, type Command, flag, text, type Tools } from '../command.ts';
import { time } from '../screen.ts';

export const commands: readonly Command[] = [
  {
    usage: 'trust declassifier [agent]',
    about: 'pin an agent whose answers are no secret any more; without one, those that are pinned',
    options: { remove: { type: 'boolean', about: 'take the pin back' } },
    examples: [
      ['rlp trust declassifier redactor', 'as it is now: another build is another digest'],
      ['rlp trust declassifier redactor --remove', ''],
    ],
    run: declassifier,
  },
];

async function declassifier(args: Arguments, tools: Tools): Promise<number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const name = text(args, 'agent');
  if (name === undefined) return list(tools);
  const found = await client.value.call('agent.show', { name }, { timeoutMs: 120_000 });
  if (!found.ok) return tools.fail(found.error);
  const digest = isJsonObject(found.value) ? String(found.value['digest']) : '';
  const kind = 'declassifier';
  const done = flag(args, 'remove')
    ? await client.value.call('agreement.take', { kind, digest })
    : await client.value.call('agreement.give', { kind, digest, name });
  if (!done.ok) return tools.fail(done.error);
  if (tools.json) tools.screen.json({ name, digest, pinned: !flag(args, 'remove') });
  else if (flag(args, 'remove')) tools.screen.note(`${showLine(name)} is pinned no more`);
  else tools.screen.note(`${showLine(name)} (${digest.slice(0, 16)}…): what it gives is no secret; it stays untrusted`);
  return 0;
}

async function list(tools: Tools): Promise<number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const found = await client.value.call('agreement.list', { kind: 'declassifier' });
  if (!found.ok) return tools.fail(found.error);
  const { agreements } = found.value as unknown as { agreements: readonly JsonObject[] };
  if (tools.json) tools.screen.json(agreements);
  else if (agreements.length === 0) tools.screen.note('no agent is pinned: what is private stays private');
  else
    tools.screen.table(
      ['agent', 'digest', 'since'],
      agreements.map(({ name, digest, ts_ms: at }) => [
        showLine(String(name)),
        String(digest).slice(0, 16),
        time(Number(at)),
      ]),
    );
  return 0;
}
