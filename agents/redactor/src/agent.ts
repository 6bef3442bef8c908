/**
 * Takes out of texts what names people and accounts, by patterns that can be stated: no model, the same every time.
 */
import { type JsonObject, type JsonValue, defineAgent } from '@runloop/agent';

const patterns: readonly (readonly [mark: string, pattern: RegExp])[] = [
  ['[credentials]', /(?<=:\/\/)[^\s/:@]{1,64}:[^\s/@]{1,128}(?=@)/g],
  ['[mail]', /[\p{L}\p{N}][\p{L}\p{N}._%+-]{0,63}@[\p{L}\p{N}.-]{1,253}/gu],
  ['[iban]', /\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b/g],
  ['[card]', /\b\d{4}([ -]?)\d{4}\1\d{4}\1\d{1,7}\b/g],
  ['[ip]', /\b(?:\d{1,3}\.){3}\d{1,3}\b/g],
  ['[phone]', /(?<![\p{L}\p{N}])\+?\(?\d{2,4}\)?(?:[ /.-]?\d{2,4}){2,5}(?![\p{L}\p{N}])/gu],
];

function redact(text: string, names: readonly string[], count: () => void): string {
  let out = text;
  for (const [mark, pattern] of patterns) {
    out = out.replace(pattern, () => {
      count();
      return mark;
    });
  }
  for (const name of names) {
    const parts = out.split(new RegExp(name.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'), 'giu'));
    for (let i = 1; i < parts.length; i += 1) count();
    out = parts.join('[name]');
  }
  return out;
}

function walk(value: JsonValue, names: readonly string[], count: () => void): JsonValue {
  if (typeof value === 'string') return redact(value, names, count);
  if (Array.isArray(value)) return (value as readonly JsonValue[]).map((item) => walk(item, names, count));
  if (typeof value !== 'object' || value === null) return value;
  const out: { [key: string]: JsonValue } = {};
  for (const [key, member] of Object.entries(value as JsonObject))
    out[redact(key, names, count)] = walk(member, names, count);
  return out;
}

export default defineAgent({
  handle(request) {
    const given = request.with['names'];
    const names = (Array.isArray(given) ? given : []).filter((name): name is string => typeof name === 'string');
    return {
      out: (request.inputs['in'] ?? []).map((item) => {
        let removed = 0;
        const value = walk(item, names, () => (removed += 1));
        return { type: 'artifact.redacted.v1', value: { value, removed } };
      }),
    };
  },
});
