/**
 * Control operations as a table: a name, and a function of checked arguments.
 */
import {
  err,
  failure,
  type Failure,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  parseTraceId,
  type Result,
  type TraceId,
} from '@runloop/core';
import type { Principal } from '@runloop/bus';

export type Caller = { readonly principal: Principal; readonly traceId: TraceId; readonly signal: AbortSignal };
export type Operation = (args: Args, caller: Caller) => Promise<Result<unknown, Failure>>;
export type Operations = { readonly [op: string]: Operation };

/** Reads arguments one by one; the first that does not fit is the answer. */
export class Args {
  readonly op: string;
  readonly #values: JsonObject;
  problem: Failure | undefined;

  constructor(op: string, values: unknown) {
    this.op = op;
    this.#values = isJsonObject(values) ? values : {};
    if (values !== undefined && values !== null && !isJsonObject(values)) this.refuse('its arguments must be a map');
  }

  refuse(what: string): void {
    this.problem ??= failure('Usage', `${this.op}: ${what}`);
  }

  text(name: string): string {
    const value = this.optionalText(name);
    if (value === undefined) this.refuse(`${name} is missing`);
    return value ?? '';
  }

  optionalText(name: string): string | undefined {
    const value = this.#get(name);
    if (value === undefined || typeof value === 'string') return value;
    this.refuse(`${name} must be a string`);
    return undefined;
  }

  number(name: string, fallback: number, max: number): number {
    const value = this.#get(name) ?? fallback;
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return Math.min(value, max);
    this.refuse(`${name} must be a whole number that is not negative`);
    return fallback;
  }

  optionalNumber(name: string): number | undefined {
    return this.#get(name) === undefined ? undefined : this.number(name, 0, Number.MAX_SAFE_INTEGER);
  }

  boolean(name: string): boolean {
    const value = this.#get(name) ?? false;
    if (typeof value === 'boolean') return value;
    this.refuse(`${name} must be true or false`);
    return false;
  }

  object(name: string): JsonObject {
    const value = this.#get(name) ?? {};
    if (isJsonObject(value)) return value;
    this.refuse(`${name} must be a map`);
    return {};
  }

  list(name: string): readonly JsonValue[] {
    const value = this.#get(name) ?? [];
    if (Array.isArray(value)) return value as readonly JsonValue[];
    this.refuse(`${name} must be a list`);
    return [];
  }

  any(name: string): JsonValue | undefined {
    return this.#get(name);
  }

  traceId(name: string): TraceId {
    const text = this.text(name);
    const parsed = parseTraceId(text);
    if (parsed.ok) return parsed.value;
    this.refuse(`${name} must be 32 hex digits or a UUID, this is "${text.slice(0, 64)}"`);
    return '' as TraceId;
  }

  /** The operation's result, unless an argument did not fit. */
  async check(run: () => Promise<Result<unknown, Failure>>): Promise<Result<unknown, Failure>> {
    return this.problem === undefined ? run() : err(this.problem);
  }

  #get(name: string): JsonValue | undefined {
    const value = this.#values[name];
    return value === null ? undefined : value;
  }
}

/** Addresses are shown to operators; clients see them redacted. */
export function seesAddresses({ principal }: Pick<Caller, 'principal'>): boolean {
  return principal.type === 'operator';
}

/** Operators see and do everything; a client only what it has submitted itself. */
export function mayTouch(principal: Principal, actor: string | undefined): boolean {
  return principal.type === 'operator' || (actor !== undefined && actor === principal.id);
}

/** What somebody is told of a run that is not theirs: the same as of one that is not there. */
export function noSuchRun(traceId: string): Failure {
  return failure('NotFound', `there is no run ${traceId}`, { hint: 'see: rlp runs' });
}
