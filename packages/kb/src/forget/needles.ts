/**
 * What is looked for when an entity is forgotten: its values, in each form in which they may stand in a payload or a blob.
 *
 * 1. Case does not matter. Forms: as it is, inside JSON and inside JSON in JSON, percent-encoded, in base64 at any offset.
 * 2. Only values that name somebody are looked for everywhere: an address, a number, several words, a long word. `Jo` or
 *    `Acme` alone stand in what is about others; they go with the events of the entity itself and the runs that read them.
 * 3. Pure; the time is linear in the text.
 */
import { type JsonObject, type JsonValue, isJsonObject } from '@runloop/core';

export type Needles = {
  readonly values: readonly string[];
  /** Values of the entity that are too common to be looked for by themselves. */
  readonly common: readonly string[];
  readonly has: (text: string) => boolean;
};

/** Members that say what an event is about or how sure it is, not who somebody is. */
const structural: ReadonlySet<string> = new Set([
  'contact',
  'account',
  'entity',
  'subject',
  'predicate',
  'relation',
  'trust',
  'org',
]);

/** The values of an entity, from the payloads of the events that are about it. */
export function needlesOf(entity: string, payloads: readonly JsonObject[]): Needles {
  const all = new Set<string>();
  const take = (value: JsonValue, key: string): void => {
    if (typeof value === 'string') {
      const text = value.trim();
      if (!structural.has(key) && text !== '' && text !== entity) all.add(text);
    } else if (Array.isArray(value)) for (const one of value) take(one as JsonValue, key);
    else if (isJsonObject(value)) for (const [name, member] of Object.entries(value)) take(member, name);
  };
  for (const payload of payloads) take(payload, '');
  const values = [...all].filter(isTelling);
  return { ...needles(entity, values), common: [...all].filter((value) => !isTelling(value)) };
}

/** The same for values that are known. */
export function needles(entity: string, values: readonly string[]): Needles {
  const folded = new Set<string>();
  const exact = new Set<string>();
  for (const value of values) {
    for (const form of formsOf(value)) folded.add(form.toLowerCase());
    for (const form of base64Forms(value)) exact.add(form);
  }
  const name = entity.includes(':') ? boundedName(entity) : undefined;
  return {
    values,
    common: [],
    has: (text) => {
      const lower = text.toLowerCase();
      for (const form of folded) if (lower.includes(form)) return true;
      for (const form of exact) if (text.includes(form)) return true;
      return name?.test(lower) === true;
    },
  };
}

function isTelling(value: string): boolean {
  if (value.length < 5) return false;
  return /[@\s]/u.test(value) || value.length >= 12 || (value.match(/\d/g)?.length ?? 0) >= 5;
}

function formsOf(value: string): readonly string[] {
  const json = JSON.stringify(value).slice(1, -1);
  const forms = [value, json, JSON.stringify(json).slice(1, -1)];
  if (value.isWellFormed()) forms.push(encodeURIComponent(value), encodeURIComponent(value).replaceAll('%20', '+'));
  return forms;
}

/** What of the value's base64 does not depend on its neighbours, for each of the three places at which it may begin. */
function base64Forms(value: string): readonly string[] {
  const bytes = Buffer.from(value);
  return [0, 1, 2].flatMap((offset) => {
    const skipped = (3 - offset) % 3;
    const whole = bytes.subarray(skipped, skipped + Math.floor((bytes.length - skipped) / 3) * 3);
    const plain = whole.toString('base64');
    return plain.length < 8 ? [] : [plain, whole.toString('base64url')];
  });
}

/** `contact:jo` is not in `contact:joan`. */
function boundedName(entity: string): RegExp {
  const escaped = entity.toLowerCase().replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  return new RegExp(`${escaped}(?![\\p{L}\\p{N}_-])`, 'u');
}
