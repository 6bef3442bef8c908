/**
 * What QuickJS lacks and authors expect: console, TextEncoder, TextDecoder, URL, structuredClone, a seeded Math.random.
 *
 * 1. Only what is missing is set; `Math.random` is always replaced, for the engine's own was seeded at build time.
 * 2. Nothing here reaches outside the agent but `console`, which writes to the run's log.
 */
import { TextDecoderUtf8, TextEncoderUtf8 } from './encoding.ts';
import { seededFractions } from './random.ts';
import { AgentUrl, AgentUrlSearchParams } from './url.ts';

type Level = 'error' | 'warn' | 'info' | 'debug';
type Options = { readonly log: (level: Level, text: string) => void; readonly seed: string };

export function installPolyfills(scope: object, options: Options): void {
  const target = scope as { [name: string]: unknown };
  const missing: { readonly [name: string]: () => unknown } = {
    console: () => consoleOver(options.log),
    TextEncoder: () => TextEncoderUtf8,
    TextDecoder: () => TextDecoderUtf8,
    URL: () => AgentUrl,
    URLSearchParams: () => AgentUrlSearchParams,
    structuredClone: () => cloneValue,
  };
  for (const [name, make] of Object.entries(missing)) target[name] ??= make();
  Reflect.set(Math, 'random', seededFractions(options.seed));
}

function consoleOver(log: Options['log']): object {
  const write =
    (level: Level) =>
    (...values: readonly unknown[]): void =>
      log(level, values.map(show).join(' '));
  const info = write('info');
  return { log: info, info, warn: write('warn'), error: write('error'), debug: write('debug'), trace: write('debug') };
}

function show(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}

/** structuredClone of plain data, Map, Set, Date, ArrayBuffer and views; cycles are kept. */
export function cloneValue<T>(value: T): T {
  return clone(value, new Map()) as T;
}

function clone(value: unknown, seen: Map<object, unknown>): unknown {
  if (typeof value === 'function' || typeof value === 'symbol')
    throw new TypeError(`a ${typeof value} cannot be cloned`);
  if (typeof value !== 'object' || value === null) return value;
  const known = seen.get(value);
  if (known !== undefined) return known;
  if (value instanceof Date) return new Date(value.getTime());
  if (value instanceof ArrayBuffer) return value.slice(0);
  if (ArrayBuffer.isView(value)) {
    const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength).slice();
    if (value instanceof DataView) return new DataView(bytes.buffer);
    return Reflect.construct(value.constructor, [bytes.buffer]);
  }
  if (value instanceof Map) {
    const copy = new Map<unknown, unknown>();
    seen.set(value, copy);
    for (const [key, member] of value) copy.set(clone(key, seen), clone(member, seen));
    return copy;
  }
  if (value instanceof Set) {
    const copy = new Set<unknown>();
    seen.set(value, copy);
    for (const member of value) copy.add(clone(member, seen));
    return copy;
  }
  const copy: { [key: string]: unknown } | unknown[] = Array.isArray(value) ? [] : {};
  seen.set(value, copy);
  for (const [key, member] of Object.entries(value)) Reflect.set(copy, key, clone(member, seen));
  return copy;
}
