/**
 * The id of an opening, and how large one may be with all its parameters in their places.
 */
import { canonicalJson, digestText, err, failure, type Failure, ok, type Result, unwrap } from '@runloop/core';
import type { Opening } from '@runloop/openings';

/** Bytes of an opening with all parameters in their places, as its run's first event holds it. */
export const openingBytesMax: number = 6 * 1024 * 1024;

/** The digest of its canonical text; a refusal where that is too long. */
export function openingIdOf(opening: Opening): Result<string, Failure> {
  const text = unwrap(canonicalJson(opening), 'an opening is JSON');
  if (text.length <= openingBytesMax) return ok(digestText(text));
  const mib = (bytes: number): string => (bytes / 1024 / 1024).toFixed(1);
  return err(
    failure(
      'LimitExceeded',
      `the opening has ${mib(text.length)} MiB with its parameters filled in, a run may have ${mib(openingBytesMax)} MiB`,
      { hint: 'Give long texts to agents as files, or make several runs of it.' },
    ),
  );
}
