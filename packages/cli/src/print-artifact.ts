/**
 * Prints what a run has made, in the way that its type deserves; everything escaped.
 */
import { isJsonObject, type JsonValue, parseJson, showLine, showText } from '@runloop/core';
import type { Screen } from './screen.ts';

export type Printed = {
  readonly node: string;
  readonly type: string;
  readonly digest: string;
  readonly bytes: Uint8Array;
};

export function printArtifact(screen: Screen, { node, type, digest, bytes }: Printed): void {
  screen.line();
  screen.line(screen.paint('dim', `${showLine(node)} · ${showLine(type)} · ${digest.slice(0, 12)}`));
  const parsed = parseJson(Buffer.from(bytes).toString('utf8'));
  screen.line(indent(parsed.ok ? readable(type, parsed.value) : showText(Buffer.from(bytes).toString('utf8'))));
}

function readable(type: string, value: JsonValue): string {
  if (typeof value === 'string') return showText(value);
  if (!isJsonObject(value)) return showText(JSON.stringify(value, undefined, 2));
  if (type === 'artifact.draft.email.v1') {
    const { to, subject, body, rationale, source } = value;
    const head = [
      ...(to === undefined ? [] : [`To: ${showLine(Array.isArray(to) ? to.join(', ') : shown(to))}`]),
      `Subject: ${showLine(shown(subject))}`,
      '',
      showText(shown(body)),
    ];
    const why =
      rationale === undefined
        ? []
        : ['', `(${showLine(shown(rationale))}${source === undefined ? '' : `; by ${showLine(shown(source))}`})`];
    return [...head, ...why].join('\n');
  }
  return Object.entries(value)
    .map(
      ([key, member]) =>
        `${showLine(key)}: ${showText(typeof member === 'string' ? member : JSON.stringify(member, undefined, 2))}`,
    )
    .join('\n');
}

function shown(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value);
}

function indent(text: string): string {
  return text
    .split('\n')
    .map((line) => `  ${line}`.trimEnd())
    .join('\n');
}
