/**
 * rlp models: which models can be called, through whom, for how much; tried for real; budgets that an alarm has frozen.
 */
import { err, type Failure, failure, isJsonObject, type Result, showLine } from '@runloop/core';
import { type Arguments, type Command, text, type Tools } from '../command.ts';
import { duration, exactDollars } from '../screen.ts';
import { frozenLine } from './bill.ts';

type Model = {
  readonly pattern: string;
  readonly provider: string;
  readonly model: string;
  readonly kind: string;
  readonly clearance: string;
  readonly state: 'closed' | 'open' | 'half_open';
  readonly concurrency: number;
  readonly timeout_ms: number;
  readonly input_usd_per_million?: number;
  readonly output_usd_per_million?: number;
};
type Step = {
  readonly step: string;
  readonly state: 'ok' | 'warning' | 'error';
  readonly says: string;
  readonly hint?: string;
  readonly first_token_ms: number;
  readonly total_ms: number;
  readonly usd_nano: number;
};
type Tried = {
  readonly provider: string;
  readonly model: string;
  readonly kind: string;
  readonly ok: boolean;
  readonly steps: readonly Step[];
};

export const commands: readonly Command[] = [
  {
    usage: 'models',
    about: 'models, who serves them, what they cost, and how their providers are',
    examples: [['rlp models --json', 'with where each price was read']],
    run: list,
  },
  {
    usage: 'models test <model>',
    about: 'make three small calls to each provider of a model: an answer, a stream, a tool',
    examples: [['rlp models test local:llama3.1-8b', '1 where a provider does not answer as it should']],
    run: test,
  },
  {
    usage: 'models thaw <budget>',
    about: 'let a budget go on that is frozen, for a call used more than it had reserved',
    examples: [['rlp models thaw day:2026-11-21', 'the keys are those that rlp models and rlp bill print']],
    run: thaw,
  },
];

const states = { closed: 'ok', open: 'left alone: it keeps failing', half_open: 'tried again' } as const;

async function list(_: Arguments, tools: Tools): Promise<number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const found = await client.value.call('model.list', {});
  if (!found.ok) return tools.fail(found.error);
  const { screen } = tools;
  if (tools.json) {
    screen.json(found.value);
    return 0;
  }
  const {
    models,
    frozen,
    prices_date: date,
  } = found.value as unknown as {
    readonly models: readonly Model[];
    readonly frozen: readonly { readonly key: string }[];
    readonly prices_date: string;
  };
  if (models.length === 0) screen.note('no model can be called: configure models.broker (docs/broker.md)');
  else {
    show(models, tools);
    screen.note(`prices of ${date}, where the configuration names none`);
  }
  for (const { key } of frozen) screen.line(screen.paint('red', frozenLine(key)));
  return 0;
}

const head = ['model', 'provider', 'asked for', 'in / out per million', 'at once', 'timeout', 'sees', 'state'];

/** A table where the terminal has room for it: what is cut off there would be the price and the state. */
function show(models: readonly Model[], { screen, environment }: Tools): void {
  const rows = models.map((row) => [
    row.pattern,
    `${row.provider} (${row.kind})`,
    row.model,
    priceOf(row),
    String(row.concurrency),
    duration(row.timeout_ms),
    row.clearance,
    states[row.state],
  ]);
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column]?.length ?? 0)));
  const width = widths.reduce((sum, one) => sum + one + 2, -2);
  if (environment.streams.out.isTTY !== true || width <= screen.width) return screen.table(head, rows);
  for (const [model, provider, asked, price, atOnce, timeout, sees, state] of rows.map((row) => row.map(showLine))) {
    screen.line(`${model}: ${provider}, ${asked}`);
    screen.line(
      `  ${price}${price?.startsWith('$') === true ? ' per million' : ''}; ${atOnce} at once, ${timeout}; sees ${sees}; ${state}`,
    );
  }
}

function priceOf({ input_usd_per_million: input, output_usd_per_million: output }: Model): string {
  if (input === undefined || output === undefined) return 'unknown';
  return input === 0 && output === 0 ? 'free' : `$${input} / $${output}`;
}

async function test(args: Arguments, tools: Tools): Promise<number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const asked = client.value.call('model.test', { model: text(args, 'model') ?? '' }, { timeoutMs: testMsMax });
  const done = await Promise.race([asked, interruption(tools.environment.interrupted)]);
  if (!done.ok) return tools.fail(done.error);
  const { tried } = done.value as unknown as { readonly tried: readonly Tried[] };
  if (tools.json) tools.screen.json(done.value);
  else for (const one of tried) showTried(one, tools);
  return tried.every(({ ok }) => ok) ? 0 : 1;
}

function showTried({ provider, model, kind, steps }: Tried, { screen }: Tools): void {
  screen.line(showLine(`${provider} (${kind}), ${model}`));
  for (const { step, state, says, hint, first_token_ms: first, total_ms: total, usd_nano: cost } of steps) {
    const [mark, colour] = marks[state];
    const figures =
      state === 'error' ? '' : ` (first token ${duration(first)}, in all ${duration(total)}, ${exactDollars(cost)})`;
    screen.line(`  ${screen.paint(colour, mark)} ${step.padEnd(7)} ${showLine(says)}${figures}`);
    if (hint !== undefined) screen.line(`            ${showLine(hint)}`);
  }
}

/** Whoever goes away ends what is under way: the daemon aborts the calls of a connection that is closed. */
function interruption(signal: AbortSignal): Promise<Result<never, Failure>> {
  const over = (): Result<never, Failure> => err(failure('Cancelled', 'the calls that were under way are aborted'));
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(over()), { once: true }));
}

const marks = { ok: ['✓', 'green'], warning: ['!', 'yellow'], error: ['✗', 'red'] } as const;
/** Three calls at each of a few providers, each with its own timeout and its attempts. */
const testMsMax = 600_000;

async function thaw(args: Arguments, tools: Tools): Promise<number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const done = await client.value.call('model.thaw', { key: text(args, 'budget') ?? '' });
  if (!done.ok) return tools.fail(done.error);
  if (tools.json) tools.screen.json(done.value);
  else {
    const thawed = isJsonObject(done.value) ? String(done.value['thawed']) : '';
    tools.screen.line(`${showLine(thawed)} goes on within its cap`);
  }
  return 0;
}
