/**
 * Topics and the patterns that subscriptions name.
 *
 * 1. A topic is 1 to 16 segments parted by `/`, each `[A-Za-z0-9_.:-]{1,64}`.
 * 2. In a pattern `*` stands for one segment and a last `**` for one or more.
 * 3. A wildcard never reaches into `_inbox`: who wants an inbox names it.
 */
import { topicSegmentsMax } from './limits.ts';

const segment = /^[A-Za-z0-9_.:-]{1,64}$/;

export type Pattern = { readonly text: string; readonly segments: readonly string[]; readonly isLiteral: boolean };

export function isTopic(text: string): boolean {
  const segments = text.split('/', topicSegmentsMax + 1);
  return segments.length <= topicSegmentsMax && segments.every((part) => segment.test(part));
}

export function parsePattern(text: string): Pattern | undefined {
  const segments = text.split('/', topicSegmentsMax + 1);
  if (segments.length > topicSegmentsMax) return undefined;
  let isLiteral = true;
  for (const [index, part] of segments.entries()) {
    if (part === '*' || (part === '**' && index === segments.length - 1)) isLiteral = false;
    else if (!segment.test(part)) return undefined;
  }
  return { text, segments, isLiteral };
}

export function matches(pattern: Pattern, topic: string): boolean {
  if (pattern.isLiteral) return pattern.text === topic;
  const parts = topic.split('/');
  const { segments } = pattern;
  if (parts[0] === '_inbox' && segments[0] !== '_inbox') return false;
  for (const [index, wanted] of segments.entries()) {
    if (wanted === '**') return parts.length > index;
    if (index >= parts.length || (wanted !== '*' && wanted !== parts[index])) return false;
  }
  return parts.length === segments.length;
}
