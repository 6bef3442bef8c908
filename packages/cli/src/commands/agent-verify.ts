/**
 * rlp agent verify: does this host enforce what an agent's capabilities say? Each line is tried, in a cell.
 */
import { errorTable, showLine } from '@runloop/core';
import { type Arguments, type Command, text, type Tools } from '../command.ts';

/** Each probe has a cell of its own, and some of them wait for a limit. */
const verifyMsMax = 300_000;

export const commands: readonly Command[] = [
  {
    usage: 'agent verify <name>',
    about: 'try each line of what an agent may do, and what lies just outside of it',
    examples: [['rlp agent verify mailer', '1 when something is not as it says']],
    run: verify,
  },
];

type Verified = {
  readonly digest: string;
  readonly confined: string;
  readonly rows: readonly {
    readonly line: string;
    readonly probe: string;
    readonly expected: string;
    readonly observed: string;
    readonly ok: boolean;
    readonly said?: string;
  }[];
};

async function verify(args: Arguments, tools: Tools): Promise<number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const name = text(args, 'name') ?? '';
  const found = await client.value.call('agent.verify', { name }, { timeoutMs: verifyMsMax });
  if (!found.ok) return tools.fail(found.error);
  const { rows, confined } = found.value as unknown as Verified;
  const wrong = rows.filter((row) => !row.ok);
  const { screen } = tools;
  if (tools.json) screen.json(found.value);
  else {
    screen.table(
      ['', 'expected', 'observed', 'line', 'probe'],
      rows.map(({ ok, expected, observed, line, probe }) => [ok ? '✓' : '✗', expected, observed, line, probe]),
    );
    for (const { line, probe, said } of wrong)
      screen.note(`rlp: ${showLine(`${line}: ${probe}: ${said ?? 'no error'}`)}`);
    const sum =
      wrong.length === 0 ? `all ${rows.length} probes as expected` : `${wrong.length} of ${rows.length} probes differ`;
    screen.line(`${sum}; confined by: ${showLine(confined)}`);
  }
  return wrong.length === 0 ? 0 : errorTable.RunFailed.exit;
}
