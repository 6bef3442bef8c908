/**
 * What a new agent shall be, from flags or from answers; checked before a file is written.
 */
import { resolve } from 'node:path';
import { err, type Failure, failure, isName, ok, type Result } from '@runloop/core';

export const languages = ['ts', 'c', 'rust'] as const;
export type Language = (typeof languages)[number];

export type Wish = {
  readonly name: string;
  readonly language: Language;
  /** Also an opening that runs it. */
  readonly opening: boolean;
  readonly model: boolean;
  readonly fs: readonly { readonly path: string; readonly write: boolean }[];
  readonly net: readonly string[];
  readonly kbRead: readonly string[];
  readonly kbWrite: readonly string[];
};

export function checkWish(wish: Wish): Result<Wish, Failure> {
  const refuse = (what: string, hint: string): Result<never, Failure> => err(failure('Usage', what, { hint }));
  if (!isName(wish.name))
    return refuse(
      `"${wish.name}" is no name for an agent`,
      'small letters, digits and _, beginning with a letter, at most 64: note_taker',
    );
  const hosted = wish.model || wish.net.length > 0 || wish.kbRead.length > 0 || wish.kbWrite.length > 0;
  if (wish.language !== 'ts' && hosted)
    return refuse(
      'a program in C or Rust reaches files and clocks only',
      'models, hosts and the knowledge base are for --lang ts',
    );
  return ok(wish);
}

/** `dir`, or `dir:rw`; relative ones count from `cwd`, for a policy holds no relative path. */
export function fsGrant(text: string, cwd: string): Wish['fs'][number] {
  const write = text.endsWith(':rw');
  const path = write ? text.slice(0, -3) : text;
  return { path: path.startsWith('~/') ? path : resolve(cwd, path), write };
}

/** Items of one answer or of several flags. */
export function listed(texts: readonly string[]): readonly string[] {
  return texts.flatMap((text) => text.split(/[\s,]+/)).filter((text) => text !== '');
}
