/**
 * `{{params.x}}` and `{{params.x.y}}` inside the strings of `with`.
 *
 * 1. A string that is nothing but one placeholder takes the parameter's own type; elsewhere it is written as text.
 * 2. A placeholder that resolves to nothing is an error; there are no expressions and no other roots.
 * 3. What a parameter brings in is never read for placeholders again.
 */
import { type JsonObject, type JsonValue, isJsonObject } from '@runloop/core';

export type TemplateProblem = { readonly placeholder: string; readonly why: string };

const opener = '{{';
const closer = '}}';

/** `value` with its placeholders filled in; problems are collected, not thrown. */
export function fill(value: JsonValue, params: JsonObject, problems: TemplateProblem[]): JsonValue {
  if (typeof value === 'string') return fillText(value, params, problems);
  if (Array.isArray(value)) return (value as readonly JsonValue[]).map((item) => fill(item, params, problems));
  if (isJsonObject(value)) {
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, fill(member, params, problems)]));
  }
  return value;
}

function fillText(text: string, params: JsonObject, problems: TemplateProblem[]): JsonValue {
  let out = '';
  let at = 0;
  for (;;) {
    const start = text.indexOf(opener, at);
    if (start === -1) return out + text.slice(at);
    const end = text.indexOf(closer, start);
    if (end === -1) {
      problems.push({ placeholder: text.slice(start), why: 'the placeholder is not closed by }}' });
      return text;
    }
    const placeholder = text.slice(start, end + closer.length);
    const value = lookUp(text.slice(start + opener.length, end).trim(), params);
    if (typeof value === 'object' && value !== null && 'problem' in value) {
      problems.push({ placeholder, why: value.problem });
      out += text.slice(at, start);
    } else {
      const found = value.found;
      if (start === 0 && end + closer.length === text.length) return found;
      out += text.slice(at, start) + (typeof found === 'string' ? found : JSON.stringify(found));
    }
    at = end + closer.length;
  }
}

function lookUp(path: string, params: JsonObject): { found: JsonValue } | { problem: string } {
  const [root, ...names] = path.split('.');
  if (root !== 'params' || names.length === 0) return { problem: 'only {{params.<name>}} can stand here' };
  let value: JsonValue = params;
  for (const [index, name] of names.entries()) {
    if (!isJsonObject(value) || !Object.hasOwn(value, name)) {
      return { problem: `there is no parameter "${names.slice(0, index + 1).join('.')}"` };
    }
    value = value[name] as JsonValue;
  }
  return { found: value };
}
