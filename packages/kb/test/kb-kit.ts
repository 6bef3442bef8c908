/** What the tests of this package share: a knowledge base in a directory of its own, and drafts to put in. */
import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type JsonObject, type Log, publicKeyId, systemClock, systemRandom, unwrap } from '@runloop/core';
import { loadBlake3 } from '../src/blake3.ts';
import { type EventDraft, type Kb, type KbOptions, openKb, type Signer } from '../src/index.ts';
import { verifyLedger } from '../src/ledger/verify.ts';

export const quiet: Log = { log: () => undefined };
export const deps = { clock: systemClock, random: systemRandom, log: quiet };

export type TempDir = Disposable & { readonly path: string };
export function tempDir(): TempDir {
  const path = mkdtempSync(join(tmpdir(), 'kb-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

export async function open(rootDir: string, more: Partial<KbOptions> = {}): Promise<Kb> {
  return unwrap(await openKb(deps, { rootDir, ...more }), 'a knowledge base that opens');
}

/** Whether the chain holds and every blob of the ledger and the archive is what its name says. */
export async function isSound(rootDir: string): Promise<boolean> {
  const data = { rootDir, eventsDb: join(rootDir, 'events.sqlite') };
  const found = unwrap(verifyLedger(data, {}, await loadBlake3()), 'a check');
  return found.first_bad === undefined && found.bad_blob === undefined;
}

export function draft(more: Partial<EventDraft> = {}): EventDraft {
  return {
    ts_ms: 1_000,
    actor: 'user:test',
    kind: 'note.created',
    scope: 'user',
    payload: { text: 'hello' },
    provenance: {},
    ...more,
  };
}

/** A host's key. */
export function newSigner(): Signer {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const key = publicKeyId(publicKey);
  return { key, sign: (bytes) => sign(null, bytes, privateKey) };
}

export const trace = 'ab'.repeat(16);

export function runEvent(kind: string, meta: JsonObject, seq?: number, trace_id: string = trace): EventDraft {
  return draft({
    kind,
    scope: `run/${trace_id}`,
    trace_id,
    run_seq: seq,
    payload: {
      ...(seq === undefined ? {} : { seq }),
      run_id: 'run_1',
      opening_id: 'op_1',
      level: 'info',
      message: kind,
      meta,
    },
  });
}

/** A text as the counts of its letters: an embedder for tests. */
export function letters(text: string): Float32Array {
  const counts = new Float32Array(26);
  for (const char of text.toLowerCase()) {
    const at = char.charCodeAt(0) - 97;
    if (at >= 0 && at < 26) counts[at] = (counts[at] ?? 0) + 1;
  }
  return counts;
}
