/**
 * What the operator has agreed to by digest: openings that may loosen a rule, bundles whose answers are no secret any more.
 *
 * One small file for each, in the state directory: made and removed by the operator's own orders, read at each question.
 */
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Failure, failure, isJsonObject, ok, parseJson, err, type Result } from '@runloop/core';

export type PinKind = 'openings' | 'declassifiers';
export type Pin = { readonly digest: string; readonly name: string; readonly ts_ms: number };

/** Pins of one kind; more are refused. */
export const pinsMax = 4_096;
const digestForm = /^[0-9a-f]{64}$/;

export class Pins {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  has(kind: PinKind, digest: string): boolean {
    return digestForm.test(digest) && this.#read(kind, digest) !== undefined;
  }

  list(kind: PinKind): readonly Pin[] {
    let names: string[];
    try {
      names = readdirSync(join(this.#dir, kind));
    } catch {
      return [];
    }
    const pins = names.flatMap((name) => this.#read(kind, name.replace(/\.json$/, '')) ?? []);
    return pins.sort((a, b) => a.ts_ms - b.ts_ms);
  }

  add(kind: PinKind, pin: Pin): Result<void, Failure> {
    if (!digestForm.test(pin.digest)) return err(failure('Usage', `"${pin.digest}" is no digest (64 hex digits)`));
    if (this.list(kind).length >= pinsMax)
      return err(failure('LimitExceeded', `more than ${pinsMax} ${kind} are pinned`));
    try {
      mkdirSync(join(this.#dir, kind), { recursive: true, mode: 0o700 });
      writeFileSync(this.#path(kind, pin.digest), `${JSON.stringify(pin)}\n`, { mode: 0o600 });
      return ok(undefined);
    } catch (error) {
      return err(failure('StorageFailed', `${this.#path(kind, pin.digest)} cannot be written: ${String(error)}`));
    }
  }

  remove(kind: PinKind, digest: string): boolean {
    const there = this.has(kind, digest);
    if (there) rmSync(this.#path(kind, digest), { force: true });
    return there;
  }

  #read(kind: PinKind, digest: string): Pin | undefined {
    try {
      const parsed = parseJson(readFileSync(this.#path(kind, digest), 'utf8'));
      if (!parsed.ok || !isJsonObject(parsed.value) || parsed.value['digest'] !== digest) return undefined;
      return { digest, name: String(parsed.value['name']), ts_ms: Number(parsed.value['ts_ms']) };
    } catch {
      return undefined;
    }
  }

  #path(kind: PinKind, digest: string): string {
    return join(this.#dir, kind, `${digest}.json`);
  }
}
