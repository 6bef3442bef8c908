/**
 * Asks a person on the terminal whether an action may happen.
 *
 * 1. Everything is shown before a key is accepted, and what was typed ahead is thrown away.
 * 2. What cannot be undone needs a short code, not a habit of pressing y. Only what is typed is an answer: Ctrl-C and
 *    Ctrl-D are none.
 * 3. All text from outside is escaped.
 */
import { createInterface } from 'node:readline/promises';
import {
  digestText,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  showLine,
  showText,
  sleep,
  systemClock,
} from '@runloop/core';
import type { Tools } from './command.ts';
import type { Environment } from './environment.ts';
import { dollars, time } from './screen.ts';

export function canAsk(environment: Environment): boolean {
  return environment.streams.in.isTTY === true && environment.streams.err.isTTY === true;
}

export type Said = 'approve' | 'deny' | 'done';

/** Shows the request and takes the answer; nothing where none was given, or where `signal` says that it is not needed. */
export async function askApproval(tools: Tools, meta: JsonObject, signal: AbortSignal): Promise<Said | undefined> {
  showAction(tools, meta);
  const code = digestText(String(meta['hash'])).slice(0, 4);
  if (isCutOff(meta))
    return askKeys(
      tools,
      [
        `type ${code} to make it again, d if it has happened, n if neither: `,
        { [code]: 'approve', d: 'done', n: 'deny' },
      ],
      signal,
    );
  const { args, op } = meta;
  if (op === 'budget.raise' && isJsonObject(args)) {
    const question = `type ${code} to raise it by ${missing(args)}, n to fail the node: `;
    return askKeys(tools, [question, { [code]: 'approve', n: 'deny' }], signal);
  }
  return cannotBeUndone(meta)
    ? askCode(tools, String(meta['hash']), signal)
    : askKeys(tools, ['y lets it happen, n refuses: ', { y: 'approve', n: 'deny' }], signal);
}

/** What a budget lacks, in the unit that it is counted in. */
function missing({ unit, needed, left }: JsonObject): string {
  const amount = Number(needed) - Number(left);
  return unit === 'usd_nano' ? `$${(amount / 1e9).toFixed(6)}` : `${amount} ${showLine(String(unit))}`;
}

/** What has left this machine, or has run, stays done. */
function cannotBeUndone({ op }: JsonObject): boolean {
  return !(typeof op === 'string' && (op.startsWith('fs.') || op.startsWith('model.')));
}

/** It was begun, and nobody knows what came of it. */
export function isCutOff({ call }: JsonObject): boolean {
  return typeof call === 'string' && call.includes('/again/');
}

/** A yes to what was just shown, as a short code that its hash gives. */
export async function askCode(
  tools: Tools,
  hash: string,
  signal: AbortSignal = new AbortController().signal,
): Promise<'approve' | 'deny' | undefined> {
  const code = digestText(hash).slice(0, 4);
  const asked = [
    `type ${tools.screen.paint('bold', code)} to let it happen, n to refuse: `,
    { [code]: 'approve', n: 'deny' },
  ] as const;
  return askKeys(tools, asked, signal);
}

async function askKeys<T extends Said>(
  { screen, environment }: Tools,
  [question, keys]: readonly [string, { readonly [key: string]: T }],
  signal: AbortSignal,
): Promise<T | undefined> {
  await throwAwayTyped(environment);
  const lines = createInterface({ input: environment.streams.in, output: environment.streams.err });
  const stop = new AbortController();
  const over = (): void => stop.abort();
  signal.addEventListener('abort', over, { once: true });
  environment.interrupted.addEventListener('abort', over, { once: true });
  lines.on('SIGINT', () => process.emit('SIGINT'));
  lines.on('close', over);
  if (signal.aborted) over();
  try {
    for (;;) {
      const typed = (await lines.question(`  ${question}`, { signal: stop.signal })).trim().toLowerCase();
      const said = Object.hasOwn(keys, typed) ? keys[typed] : undefined;
      if (said !== undefined) return said;
      screen.note(`  that is none of ${Object.keys(keys).join(', ')}`);
    }
  } catch {
    screen.note('');
    return undefined;
  } finally {
    signal.removeEventListener('abort', over);
    environment.interrupted.removeEventListener('abort', over);
    lines.close();
  }
}

/** What, who, why and with which arguments; to standard error, so that a stream stays clean. */
export function showAction(tools: Tools, meta: JsonObject): void {
  const { screen } = tools;
  const [agent, node, what] = [meta['agent'], meta['node'], meta['what'] ?? meta['op']].map((one) =>
    showLine(String(one ?? '')),
  );
  screen.note('');
  screen.noteWrapped(`${agent} (node ${node}) asks: ${what}`, 2, 'yellow');
  const { args } = meta;
  if (isJsonObject(args)) {
    for (const [name, value] of Object.entries(args)) {
      const text = showText(typeof value === 'string' ? value : JSON.stringify(value));
      const [first = '', ...more] = text.split('\n');
      screen.noteFolded(`    ${showLine(name)}: ${first}`, 6);
      for (const line of more) screen.noteFolded(`      ${line}`, 6);
    }
  }
  const { referents } = meta;
  for (const [what, digest] of Object.entries(isJsonObject(referents) ? referents : {})) {
    screen.noteFolded(`    ${showLine(what)}: ${showLine(String(digest))}`, 6);
  }
  const { replaces, spent, expires_ms: expires } = meta;
  if (typeof replaces === 'string') screen.note(`    edited by a person, in place of ${showLine(replaces)}`);
  for (const line of lineage(meta)) screen.noteWrapped(line, 4, 'yellow');
  const until = typeof expires === 'number' ? `, until ${time(expires)} UTC` : '';
  const hash = showLine(String(meta['hash'] ?? '').slice(0, 16));
  screen.noteWrapped(`request ${showLine(String(meta['action'] ?? ''))}, hash ${hash}…${until}`, 4, 'dim');
  if (isJsonObject(spent)) {
    const tokens = Number(spent['tokens']);
    screen.noteWrapped(`the run has cost ${dollars(Number(spent['usd_nano']))} (${tokens} tokens)`, 4, 'dim');
  }
}

/** Where the data comes from that would leave, one line for each source. */
export function lineage({ flow, leak }: JsonObject): string[] {
  if (!isJsonObject(flow) || !Array.isArray(flow['sources'])) return [];
  const sources = (flow['sources'] as readonly JsonValue[]).filter(isJsonObject).map((source) => {
    const kinds = ['private', 'untrusted'].filter((kind) => source[kind] === true).join(', ');
    const path = Array.isArray(source['path']) ? source['path'].map(String).join(' → ') : '';
    return showLine(`it has seen ${String(source['what'])} (${kinds}), by way of ${path}`);
  });
  return typeof leak === 'string'
    ? [`it is asked because of what it has seen, and this leaves by ${leak}`, ...sources]
    : sources;
}

/** How long what was typed ahead is waited for: it comes with the first look at the terminal. */
const drainMs = 50;

/** Whatever was typed before the question was shown is no answer to it, also where no line of it is finished. */
export async function throwAwayTyped({ streams: { in: input } }: Environment): Promise<void> {
  const drop = (typed: Buffer | string): void => {
    if (typed.toString().includes('\u0003')) process.emit('SIGINT');
  };
  input.setRawMode(true);
  input.on('data', drop);
  input.resume();
  await sleep(systemClock, drainMs);
  input.off('data', drop);
  input.pause();
  input.setRawMode(false);
}
