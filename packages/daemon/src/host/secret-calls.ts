/**
 * secrets.ref {id}: the words that stand for a secret in a header of http.fetch. An agent never holds a value.
 */
import type { JsonObject } from '@runloop/core';
import type { Performed } from '../runs/ports.ts';
import type { Secrets } from '../secrets/store.ts';
import { answered, refused } from './kb-calls.ts';

export async function performSecretRef(secrets: Pick<Secrets, 'has'>, { id }: JsonObject): Promise<Performed> {
  const there = await secrets.has(String(id));
  return there.ok ? answered({ ref: `{{secret:${String(id)}}}` }) : refused(there.error);
}
