/**
 * What a command is, and what it gets to work with.
 */
import { err, failure, type Failure, parseTraceId, type Resolved, type Result, type TraceId } from '@runloop/core';
import type { Client } from '@runloop/sdk';
import type { Environment } from './environment.ts';
import type { Screen } from './screen.ts';

export type OptionSpec = {
  readonly type: 'string' | 'boolean' | 'number' | 'array';
  readonly about: string;
  readonly alias?: string;
  readonly choices?: readonly string[];
  readonly default?: string | number | boolean;
};

export type Arguments = { readonly [name: string]: unknown };

export type Command = {
  /** Words and arguments, as in `kb why <entity>`. */
  readonly usage: string;
  readonly about: string;
  readonly options?: { readonly [name: string]: OptionSpec };
  readonly examples: readonly (readonly [string, string])[];
  readonly run: (args: Arguments, tools: Tools) => Promise<number>;
};

/** Groups of commands live in one file each; a file is loaded when one of its commands is called. */
export type CommandFile = { readonly commands: readonly Command[] };

export interface Tools {
  readonly environment: Environment;
  readonly screen: Screen;
  readonly json: boolean;
  config(): Promise<Result<Resolved, Failure>>;
  /** A session with the daemon, which is started where it is missing and may be. */
  connect(options?: { readonly start?: boolean }): Promise<Result<Client, Failure>>;
  /** Prints the failure and answers its exit code. */
  fail(failure: Failure): number;
}

export function text(args: Arguments, name: string): string | undefined {
  const value = args[name];
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : undefined;
}

export function flag(args: Arguments, name: string): boolean {
  return args[name] === true;
}

export function number(args: Arguments, name: string): number | undefined {
  const value = args[name];
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

export function texts(args: Arguments, name: string): readonly string[] {
  const value = args[name];
  return Array.isArray(value) ? value.map(String) : value === undefined ? [] : [String(value)];
}

/** The argument `trace` as a trace id. */
export function traceOf(args: Arguments): Result<TraceId, Failure> {
  const parsed = parseTraceId(text(args, 'trace') ?? '');
  return parsed.ok ? parsed : err(failure('Usage', `"${parsed.error.text}" is no trace id`, { hint: 'see: rlp runs' }));
}
