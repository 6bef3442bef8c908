/**
 * Asks a person on the terminal whether an action may happen.
 *
 * 1. Everything is shown before a key is accepted, and what was typed ahead is thrown away.
 * 2. What cannot be undone needs a short code, not a habit of pressing y.
 * 3. All text from outside is escaped.
 */
import { createInterface } from 'node:readline/promises';
import { digestText, isJsonObject, type JsonObject, type JsonValue, showLine, showText } from '@runloop/core';
import type { Tools } from './command.ts';
import type { Environment } from './environment.ts';

export function canAsk(environment: Environment): boolean {
  return environment.streams.in.isTTY === true && environment.streams.err.isTTY === true;
}

/** approve, deny, or nothing when it was answered elsewhere meanwhile. */
export async function askApproval(
  tools: Tools,
  meta: JsonObject,
  isOpen: () => boolean,
  signal: AbortSignal,
): Promise<'approve' | 'deny' | undefined> {
  showAction(tools, meta);
  return askCode(tools, String(meta['hash']), isOpen, signal);
}

/** A yes to what was just shown, as a short code that its hash gives. */
export async function askCode(
  tools: Tools,
  hash: string,
  isOpen: () => boolean = () => true,
  signal: AbortSignal = new AbortController().signal,
): Promise<'approve' | 'deny' | undefined> {
  const { screen, environment } = tools;
  const code = digestText(hash).slice(0, 4);
  await throwAwayTyped(environment);
  const lines = createInterface({ input: environment.streams.in, output: environment.streams.err });
  const stop = new AbortController();
  const over = (): void => stop.abort();
  signal.addEventListener('abort', over, { once: true });
  environment.interrupted.addEventListener('abort', over, { once: true });
  lines.on('SIGINT', () => process.emit('SIGINT'));
  try {
    for (;;) {
      const answer = (
        await lines.question(`  type ${screen.paint('bold', code)} to let it happen, n to refuse: `, {
          signal: stop.signal,
        })
      )
        .trim()
        .toLowerCase();
      if (!isOpen()) return undefined;
      if (answer === code) return 'approve';
      if (answer === 'n' || answer === 'no') return 'deny';
      screen.note(`  that is neither ${code} nor n`);
    }
  } catch {
    return undefined;
  } finally {
    signal.removeEventListener('abort', over);
    lines.close();
  }
}

/** What, who, why and with which arguments; to standard error, so that a stream stays clean. */
export function showAction(tools: Tools, meta: JsonObject): void {
  const { screen } = tools;
  screen.note('');
  screen.note(
    screen.paint(
      'yellow',
      `  ${showLine(String(meta['agent'] ?? ''))} (node ${showLine(String(meta['node'] ?? ''))}) asks: ${showLine(String(meta['what'] ?? meta['op'] ?? ''))}`,
    ),
  );
  const { args } = meta;
  if (isJsonObject(args)) {
    for (const [name, value] of Object.entries(args)) {
      const text = showText(typeof value === 'string' ? value : JSON.stringify(value));
      const [first = '', ...more] = text.split('\n');
      screen.note(`    ${showLine(name)}: ${first}`);
      for (const line of more) screen.note(`      ${line}`);
    }
  }
  const { referents } = meta;
  for (const [what, digest] of Object.entries(isJsonObject(referents) ? referents : {})) {
    screen.note(`    ${showLine(what)}: ${showLine(String(digest))}`);
  }
  for (const line of lineage(meta)) screen.note(screen.paint('yellow', `    ${line}`));
  screen.note(
    screen.paint(
      'dim',
      `    request ${showLine(String(meta['action'] ?? ''))}, hash ${showLine(String(meta['hash'] ?? '').slice(0, 16))}…`,
    ),
  );
}

/** Where the data comes from that would leave, one line for each source. */
function lineage({ flow, leak }: JsonObject): string[] {
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

export async function throwAwayTyped(environment: Environment): Promise<void> {
  const input = environment.streams.in;
  input.resume();
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  while (input.read() !== null) {
    // Whatever was typed before the question was shown is no answer to it.
  }
  input.pause();
}
