/**
 * A capability in few words: `no`, `yes`, a list, or `name value` pairs; escaped.
 */
import { isJsonObject, showLine } from '@runloop/core';

export function isNothing(value: unknown): boolean {
  return value === false || value === null || (Array.isArray(value) && value.length === 0);
}

export function brief(value: unknown): string {
  if (isNothing(value)) return 'no';
  if (value === true) return 'yes';
  if (typeof value === 'string') return showLine(value);
  if (Array.isArray(value)) return (value as readonly unknown[]).map(brief).join(', ');
  if (isJsonObject(value))
    return Object.entries(value)
      .map(([name, member]) => `${showLine(name)} ${brief(member)}`)
      .join(', ');
  return showLine(JSON.stringify(value));
}
