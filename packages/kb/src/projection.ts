/**
 * What a projection is: a function of the events alone, from which a table grows.
 *
 * 1. No clock, no I/O but its own tables: the same events give the same rows (A4, A5).
 * 2. A payload of another shape than expected leaves NULLs, it never throws (A9).
 */
import type Database from 'better-sqlite3';
import type { JsonObject, JsonValue } from '@runloop/core';
import { isJsonObject } from '@runloop/core';
import type { Blake3 } from './blake3.ts';

/** An event as projections see it. `meta` is the payload's `meta` for events of a run, else the payload itself. */
export type Projected = {
  readonly id: number;
  readonly ts_ms: number;
  readonly actor: string;
  readonly kind: string;
  readonly trace: string | null;
  readonly payload: JsonObject;
  readonly meta: JsonObject;
};

export type Projection = { readonly [kind: string]: (event: Projected) => void };
export type ProjectionOf = (db: Database.Database, blake3: Blake3) => Projection;

export function metaOf(payload: JsonObject): JsonObject {
  return isJsonObject(payload['meta']) ? payload['meta'] : payload;
}

export function text(from: JsonObject, name: string): string | null {
  const value = from[name];
  return typeof value === 'string' ? value : null;
}

export function integer(from: JsonObject, name: string): number | null {
  const value = from[name];
  return typeof value === 'number' ? Math.trunc(value) : null;
}

export function real(from: JsonObject, name: string): number | null {
  const value = from[name];
  return typeof value === 'number' ? value : null;
}

/** Any member as JSON text; strings too, so that the type survives. */
export function json(from: JsonObject, name: string): string | null {
  const value: JsonValue | undefined = from[name];
  return value === undefined ? null : JSON.stringify(value);
}

/** A member as text, whatever it is. */
export function shown(from: JsonObject, name: string): string | null {
  const value = from[name];
  return value === undefined || value === null ? null : typeof value === 'string' ? value : JSON.stringify(value);
}
