/**
 * rlp bill: what model calls have cost, to the last nano-dollar, in groups that add up to the same total.
 *
 * A call that nobody answered, or whose answer a crash lost, may have been charged: it stands apart, at its bound.
 */
import { showLine, systemClock } from '@runloop/core';
import { type Arguments, type Command, text, type Tools } from '../command.ts';
import { sinceOf } from '../parse-time.ts';
import { exactDollars, counted } from '../screen.ts';

type Sums = {
  readonly key: string | null;
  readonly calls: number;
  readonly tokens_in: number;
  readonly tokens_out: number;
  readonly usd_nano: number;
  readonly unanswered: number;
  readonly bound_tokens: number;
  readonly bound_usd_nano: number;
  readonly cached: number;
};

export const commands: readonly Command[] = [
  {
    usage: 'bill',
    about: 'what model calls have cost',
    options: {
      by: {
        type: 'string',
        about: 'summed by',
        choices: ['run', 'node', 'agent', 'model', 'day', 'opening', 'user'],
        default: 'run',
      },
      since: { type: 'string', about: 'only what was called since: 90m, 24h, 7d, 4w, or a date' },
    },
    examples: [
      ['rlp bill --by model', 'which model costs what'],
      ['rlp bill --by opening --since 7d', 'what the openings of the last week have cost'],
    ],
    run: bill,
  },
];

async function bill(args: Arguments, tools: Tools): Promise<number> {
  const since = sinceOf(text(args, 'since'), systemClock.nowMs());
  if (!since.ok) return tools.fail(since.error);
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const by = text(args, 'by') ?? 'run';
  const found = await client.value.call('bill.query', { by, since_ms: since.value });
  if (!found.ok) return tools.fail(found.error);
  const { rows, total, frozen } = found.value as unknown as {
    readonly rows: readonly Sums[];
    readonly total: Sums;
    readonly frozen: readonly string[];
  };
  const { screen } = tools;
  if (tools.json) screen.json(found.value);
  else if (total.calls === 0) screen.note('nothing was spent: no model has been called');
  else {
    const left = rest(rows, total);
    const lines = [...rows, ...(left.calls === 0 ? [] : [left])].map((row) => cells(row.key ?? `no ${by}`, row));
    screen.table([by, 'calls', 'cached', 'tokens', 'cost', 'no answer, at most'], [...lines, cells('total', total)]);
  }
  if (!tools.json) for (const key of frozen) screen.line(screen.paint('red', frozenLine(key)));
  return 0;
}

/** A budget that an alarm has frozen, and what lets it go on. */
export function frozenLine(key: string): string {
  const name = showLine(key);
  return `frozen    ${name}: a call used more than was reserved; let it go on: rlp models thaw ${name}`;
}

/** What the rows that are shown leave of the total. */
function rest(rows: readonly Sums[], total: Sums): Sums {
  const less = (name: Exclude<keyof Sums, 'key'>): number => rows.reduce((left, row) => left - row[name], total[name]);
  return {
    key: 'all others',
    calls: less('calls'),
    tokens_in: less('tokens_in'),
    tokens_out: less('tokens_out'),
    usd_nano: less('usd_nano'),
    unanswered: less('unanswered'),
    bound_tokens: less('bound_tokens'),
    bound_usd_nano: less('bound_usd_nano'),
    cached: less('cached'),
  };
}

function cells(name: string, row: Sums): string[] {
  const tokens = row.tokens_in + row.tokens_out - row.bound_tokens;
  const lost = `${counted(row.unanswered, 'call')}, ${counted(row.bound_tokens, 'token')}, ${exactDollars(row.bound_usd_nano)}`;
  return [
    name,
    String(row.calls - row.unanswered - row.cached),
    String(row.cached),
    String(tokens),
    exactDollars(row.usd_nano - row.bound_usd_nano),
    row.unanswered === 0 ? '' : lost,
  ];
}
