/**
 * Agents whose sandbox fails again and again are held back for a while.
 *
 * 1. The third fault in a row of one bundle, and each one after it, holds that bundle back: 60 s, doubled each time, an hour
 *    at most. A run that ends otherwise begins the count anew; faults of what was under way meanwhile do not count.
 * 2. The ledger is told, and it outlives this process in one small file.
 * 3. Only what the sandbox had to end is a fault; an agent that says itself that it failed is none, and neither is a
 *    deadline, which may be the opening's.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { type Clock, type Failure, failure, isJsonObject, type JsonObject, type Log, parseJson } from '@runloop/core';
import type { AttemptOutcome, Bundle } from '@runloop/runtime';

export const faultsInARow = 3;
export const quarantineMsFirst = 60_000;
export const quarantineMsMax = 3_600_000;
/** Agents that are remembered; of more, the one that was seen longest ago is forgotten. */
export const quarantineMax = 1_024;

const faults: ReadonlySet<string> = new Set(['AgentTrapped', 'OutOfMemory', 'OutOfFuel', 'CellLost']);

export type QuarantineDeps = {
  readonly clock: Clock;
  readonly log: Log;
  readonly record: (kind: 'agent.quarantined' | 'agent.released', payload: JsonObject) => Promise<boolean>;
};

export type Held = { readonly until_ms: number; readonly code: string; readonly faults: number };
type Entry = Held & { readonly digest: string };

export class Quarantine {
  readonly #deps: QuarantineDeps;
  readonly #path: string;
  readonly #entries: Map<string, Entry>;

  constructor(deps: QuarantineDeps, path: string) {
    this.#deps = deps;
    this.#path = path;
    this.#entries = new Map(readEntries(path));
  }

  /** Why the bundle may not run now. */
  refusal({ name, digest }: Pick<Bundle, 'name' | 'digest'>): Failure | undefined {
    const held = this.held(name);
    if (held === undefined || this.#entries.get(name)?.digest !== digest) return undefined;
    const until = new Date(held.until_ms).toISOString();
    const message = `agent ${name} failed ${held.faults} times in a row in its sandbox (${held.code}); it is held back until ${until}, or until: rlp agent release ${name}`;
    return failure('Busy', message);
  }

  held(name: string): Held | undefined {
    const entry = this.#entries.get(name);
    if (entry === undefined || entry.until_ms <= this.#deps.clock.nowMs()) return undefined;
    const { until_ms, code, faults: count } = entry;
    return { until_ms, code, faults: count };
  }

  /** Takes note of how an attempt of the bundle has ended. */
  async note({ name, digest }: Pick<Bundle, 'name' | 'digest'>, outcome: AttemptOutcome): Promise<void> {
    if (outcome.type !== 'succeeded' && outcome.type !== 'failed') return;
    if (outcome.type === 'succeeded' || !faults.has(outcome.code)) {
      if (this.held(name) === undefined && this.#entries.delete(name)) this.#save();
      return;
    }
    if (this.held(name) !== undefined) return;
    const before = this.#entries.get(name);
    const count = (before?.digest === digest ? before.faults : 0) + 1;
    const over = count - faultsInARow;
    const ms = over < 0 ? 0 : Math.min(quarantineMsMax, quarantineMsFirst * 2 ** Math.min(over, 16));
    const entry = { digest, code: outcome.code, faults: count, until_ms: ms === 0 ? 0 : this.#deps.clock.nowMs() + ms };
    this.#keep(name, entry);
    if (ms === 0) return;
    this.#deps.log.log('warn', 'an agent is held back', { agent: name, code: outcome.code, faults: count, ms });
    await this.#deps.record('agent.quarantined', { agent: name, ...entry });
    this.#save();
  }

  /** Lifts it; false where there was none. */
  async release(name: string): Promise<boolean> {
    if (this.held(name) === undefined) return false;
    await this.#deps.record('agent.released', { agent: name });
    this.#entries.delete(name);
    this.#save();
    return true;
  }

  #keep(name: string, entry: Entry): void {
    this.#entries.delete(name);
    const [oldest] = this.#entries.keys();
    if (this.#entries.size >= quarantineMax && oldest !== undefined) this.#entries.delete(oldest);
    this.#entries.set(name, entry);
  }

  #save(): void {
    const text = JSON.stringify(Object.fromEntries([...this.#entries].filter(([, { until_ms }]) => until_ms > 0)));
    try {
      writeFileSync(`${this.#path}.new`, `${text}\n`, { mode: 0o600 });
      renameSync(`${this.#path}.new`, this.#path);
    } catch (error) {
      this.#deps.log.log('error', 'who is held back cannot be kept', { path: this.#path, reason: String(error) });
    }
  }
}

function readEntries(path: string): [string, Entry][] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return [];
  }
  const parsed = parseJson(text);
  if (!parsed.ok || !isJsonObject(parsed.value)) return [];
  return Object.entries(parsed.value).flatMap(([name, entry]): [string, Entry][] => {
    if (!isJsonObject(entry)) return [];
    const { digest, code, faults: count, until_ms: until } = entry;
    if (typeof digest !== 'string' || typeof code !== 'string') return [];
    return typeof count === 'number' && typeof until === 'number'
      ? [[name, { digest, code, faults: count, until_ms: until }]]
      : [];
  });
}
