/**
 * Values that cross between nodes: canonical JSON in the blob store, found again by digest.
 *
 * What is kept holds no secret. A value that the process has just written or read is kept at hand, up to a bound; the store is the truth.
 */
import {
  canonicalJson,
  type Failure,
  type JsonValue,
  parseJson,
  type Result,
  err,
  failure,
  inlineBytesMax,
  ok,
} from '@runloop/core';
import type { Scrubber } from '../secrets/scrubber.ts';
import type { RunLedger } from './ports.ts';

/** Bytes of canonical JSON kept at hand, over all runs. */
export const valuesBytesMax: number = 32 * 1024 * 1024;

/** How a value stands in an event: inline where it is small, by digest where it is not. */
export type Stored = { readonly json: JsonValue } | { readonly blob: string };

/** The disk, not the value, is at fault: what waits for it can go on later. */
export function isStorageFault({ code }: { readonly code: string }): boolean {
  return code === 'StorageFull' || code === 'StorageFailed' || code === 'StorageReadOnly';
}

export class Values {
  readonly #ledger: Pick<RunLedger, 'putBlob' | 'getBlob'>;
  readonly #scrubber: Scrubber;
  readonly #kept = new Map<string, { value: JsonValue; bytes: number }>();
  #bytes = 0;

  constructor(ledger: Pick<RunLedger, 'putBlob' | 'getBlob'>, scrubber: Scrubber) {
    this.#scrubber = scrubber;
    this.#ledger = ledger;
  }

  /** Stores the value as a blob; answers its digest once it is durable. */
  async put(given: JsonValue): Promise<Result<string, Failure>> {
    const value = this.#scrubber.scrubJson(given);
    const text = canonicalJson(value);
    if (!text.ok)
      return err(failure('AgentFailed', `the value at ${text.error.path} cannot be kept: ${text.error.why}`));
    const bytes = new TextEncoder().encode(text.value);
    const digest = await this.#ledger.putBlob(bytes);
    if (digest.ok) this.#keep(digest.value, value, bytes.length);
    return digest;
  }

  async get(digest: string): Promise<Result<JsonValue, Failure>> {
    const kept = this.#kept.get(digest);
    if (kept !== undefined) return ok(kept.value);
    const bytes = await this.#ledger.getBlob(digest);
    if (!bytes.ok) return bytes;
    const value = parseJson(new TextDecoder().decode(bytes.value));
    if (!value.ok) return err(failure('StorageCorrupt', `blob ${digest} is not JSON: ${value.error}`));
    this.#keep(digest, value.value, bytes.value.length);
    return ok(value.value);
  }

  /** `always` for what must be erasable by itself (prompts and answers); otherwise by size. */
  async store(given: JsonValue, always = false): Promise<Result<Stored, Failure>> {
    const value = this.#scrubber.scrubJson(given);
    const text = canonicalJson(value);
    if (!text.ok)
      return err(failure('AgentFailed', `the value at ${text.error.path} cannot be kept: ${text.error.why}`));
    if (!always && text.value.length <= inlineBytesMax) return ok({ json: value });
    const blob = await this.put(value);
    return blob.ok ? ok({ blob: blob.value }) : blob;
  }

  async load(stored: Stored): Promise<Result<JsonValue, Failure>> {
    return 'json' in stored ? ok(stored.json) : this.get(stored.blob);
  }

  #keep(digest: string, value: JsonValue, bytes: number): void {
    if (bytes > valuesBytesMax / 8 || this.#kept.has(digest)) return;
    this.#kept.set(digest, { value, bytes });
    this.#bytes += bytes;
    for (const [oldest, entry] of this.#kept) {
      if (this.#bytes <= valuesBytesMax) return;
      this.#kept.delete(oldest);
      this.#bytes -= entry.bytes;
    }
  }
}
