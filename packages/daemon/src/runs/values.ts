/**
 * Values that cross between nodes: canonical JSON in the blob store, found again by digest.
 *
 * What is kept holds no secret. A value that the process has just written or read is kept at hand, up to a bound; the store is the truth.
 */
import {
  canonicalJson,
  digestBytes,
  type Failure,
  type JsonValue,
  parseJson,
  type Result,
  err,
  eventLevelsMax,
  failure,
  inlineBytesMax,
  ok,
} from '@runloop/core';
import { type BlobDraft, ledgerBlobBytesMax } from '@runloop/kb';
import type { Scrubber } from '../secrets/scrubber.ts';
import type { RunLedger } from './ports.ts';

type BlobStore = Pick<RunLedger, 'append' | 'putBlob' | 'getBlob'>;

/** Bytes of canonical JSON kept at hand, over all runs. */
export const valuesBytesMax: number = 32 * 1024 * 1024;

/** A value that is durable, or is once its blobs have gone to the ledger with the event that names it. */
export type Kept<T> = { readonly value: T; readonly blobs: readonly BlobDraft[] };

/** How a value stands in an event: inline where it is small and nests little, by digest where it is not. */
export type Stored = { readonly json: JsonValue } | { readonly blob: string };

/** `isFlat` where an event can hold it. */
type Clean = { readonly value: JsonValue; readonly text: string; readonly isFlat: boolean };

/** The disk, not the value, is at fault: what waits for it can go on later. */
export function isStorageFault({ code }: { readonly code: string }): boolean {
  return code === 'StorageFull' || code === 'StorageFailed' || code === 'StorageReadOnly';
}

export class Values {
  readonly #ledger: BlobStore;
  readonly #scrubber: Scrubber;
  readonly #kept = new Map<string, { value: JsonValue; bytes: number }>();
  #bytes = 0;

  constructor(ledger: BlobStore, scrubber: Scrubber) {
    this.#scrubber = scrubber;
    this.#ledger = ledger;
  }

  /** Makes a blob of the value; answers its digest, with what has yet to go to the ledger. */
  async keep(given: JsonValue): Promise<Result<Kept<string>, Failure>> {
    const clean = this.#clean(given);
    return clean.ok ? this.#keepText(clean.value.value, clean.value.text) : clean;
  }

  /** The same, durable when it is answered. */
  async put(given: JsonValue): Promise<Result<string, Failure>> {
    return this.#durable(await this.keep(given));
  }

  async get(digest: string): Promise<Result<JsonValue, Failure>> {
    const kept = this.#kept.get(digest);
    if (kept !== undefined) return ok(kept.value);
    const bytes = await this.#ledger.getBlob(digest);
    if (!bytes.ok) return bytes;
    const value = parseJson(new TextDecoder().decode(bytes.value));
    if (!value.ok) return err(failure('StorageCorrupt', `blob ${digest} is not JSON: ${value.error}`));
    this.#remember(digest, value.value, bytes.value.length);
    return ok(value.value);
  }

  /** As it stands in an event: `always` a blob for what must be erasable by itself (prompts and answers), otherwise by size. */
  async record(given: JsonValue, always = false): Promise<Result<Kept<Stored>, Failure>> {
    const clean = this.#clean(given);
    if (!clean.ok) return clean;
    const { value, text, isFlat } = clean.value;
    if (!always && isFlat && text.length <= inlineBytesMax) return ok({ value: { json: value }, blobs: [] });
    const kept = await this.#keepText(value, text);
    return kept.ok ? ok({ value: { blob: kept.value.value }, blobs: kept.value.blobs }) : kept;
  }

  /** The same, durable when it is answered. */
  async store(given: JsonValue): Promise<Result<Stored, Failure>> {
    return this.#durable(await this.record(given));
  }

  async load(stored: Stored): Promise<Result<JsonValue, Failure>> {
    return 'json' in stored ? ok(stored.json) : this.get(stored.blob);
  }

  #clean(given: JsonValue): Result<Clean, Failure> {
    const value = this.#scrubber.scrubJson(given);
    const inEvent = canonicalJson(value, eventLevelsMax);
    const text = inEvent.ok ? inEvent : canonicalJson(value);
    if (text.ok) return ok({ value, text: text.value, isFlat: inEvent.ok });
    return err(failure('AgentFailed', `the value at ${text.error.path} cannot be kept: ${text.error.why}`));
  }

  async #keepText(value: JsonValue, text: string): Promise<Result<Kept<string>, Failure>> {
    const bytes = new TextEncoder().encode(text);
    if (bytes.length <= ledgerBlobBytesMax) {
      const digest = digestBytes(bytes);
      this.#remember(digest, value, bytes.length);
      return ok({ value: digest, blobs: [{ digest, content: text }] });
    }
    const digest = await this.#ledger.putBlob(bytes);
    if (!digest.ok) return digest;
    this.#remember(digest.value, value, bytes.length);
    return ok({ value: digest.value, blobs: [] });
  }

  async #durable<T>(kept: Result<Kept<T>, Failure>): Promise<Result<T, Failure>> {
    if (!kept.ok) return kept;
    const { value, blobs } = kept.value;
    if (blobs.length === 0) return ok(value);
    const appended = await this.#ledger.append([], blobs);
    return appended.ok ? ok(value) : appended;
  }

  #remember(digest: string, value: JsonValue, bytes: number): void {
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
