/**
 * What is looked for when an entity is forgotten: its values, in each form in which they may stand in a payload or a blob.
 *
 * 1. Case, Unicode's normal forms, and where lines are broken do not matter. Forms: as it is, inside JSON and inside JSON in
 *    JSON, with or without its \u escapes, percent-encoded, in base64 at any offset, and in what mails and web pages carry
 *    (transfer.ts).
 * 2. Only values that name somebody are looked for everywhere: an address, a number, several words, a long word. `Jo`,
 *    `Acme`, a title, a date, or what others are said to be in the same words, stand in what is about others; they go with
 *    the events of the entity itself and the runs that read them.
 * 3. Pure; the time is linear in the text.
 */
import { type JsonObject, type JsonValue, isJsonObject } from '@runloop/core';
import { holdsAny } from './patterns.ts';
import { decoded, joinedBase64 } from './transfer.ts';

export type Needles = {
  readonly values: readonly string[];
  /** Values of the entity that are too common to be looked for by themselves. */
  readonly common: readonly string[];
  readonly has: (text: string) => boolean;
};

/** A value with the member that has it; of a fact, its predicate. */
export type Said = { readonly member: string; readonly value: string };

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
  'confidence',
  'valid_from',
  'valid_to',
  'written_ms',
]);

/** Members whose values many have, whatever their length. */
const shared =
  /^(?:city|town|country|state|region|title|role|job|position|department|language|lang|timezone|tags?|status)$/;
/** Somebody or something else; a link is none. */
const reference = /^(?!mailto:|tel:)[a-z][a-z0-9_-]*:(?!\/\/)\S+$/;
const givenName = /^(?:first|given)(?:[ _-]?names?)?$/;
const familyName = /^(?:last|family|sur)(?:[ _-]?name)?$/;
/** Given and family names that are put together with one another. */
const namesMax = 16;

/** What the payload of an event says, but for what it is about. */
export function saidIn(payload: JsonObject): readonly Said[] {
  const all: Said[] = [];
  const take = (value: JsonValue, member: string): void => {
    if (structural.has(member)) return;
    if (typeof value === 'string' && value.trim() !== '') all.push({ member, value: value.trim() });
    else if (typeof value === 'number' && Number.isSafeInteger(value)) all.push({ member, value: String(value) });
    else if (Array.isArray(value)) for (const one of value) take(one as JsonValue, member);
    else if (isJsonObject(value))
      for (const [name, one] of Object.entries(value)) {
        if (name.includes('@')) all.push({ member, value: name });
        take(one, name);
      }
  };
  const { predicate } = payload;
  for (const [name, value] of Object.entries(payload))
    take(value, name === 'object' && typeof predicate === 'string' ? predicate.toLowerCase() : name);
  return all;
}

/** The values of an entity, from the payloads of the events that are about it, and from those that are about others. */
export function needlesOf(
  entity: string,
  payloads: readonly JsonObject[],
  others: () => Iterable<JsonObject> = () => [],
): Needles {
  const said = payloads.flatMap(saidIn).filter(({ value }) => value !== entity);
  const names = (kind: RegExp): readonly string[] =>
    [...new Set(said.filter(({ member }) => kind.test(member)).map(({ value }) => value))].slice(0, namesMax);
  for (const given of names(givenName))
    for (const family of names(familyName))
      for (const value of [`${given} ${family}`, `${family} ${given}`, `${family}, ${given}`])
        said.push({ member: 'name', value });
  if (!entity.includes(':')) said.push({ member: 'name', value: entity });
  const telling = said.filter(isTelling);
  const ofOthers = telling.every(isAddress) ? new Set<string>() : saidOfOthers(telling, others());
  const values = new Set(telling.filter((one) => !ofOthers.has(keyOf(one))).map(({ value }) => value));
  const common = new Set(said.map(({ value }) => value)).difference(values);
  return { ...needles(entity, [...values]), common: [...common] };
}

/** The same for values that are known. */
export function needles(entity: string, values: readonly string[]): Needles {
  const folded = holdsAny(new Set(values.flatMap(formsOf).map(fold)));
  const exact = holdsAny(new Set(values.flatMap(base64Forms)));
  const name = boundedName(entity);
  const holds = (text: string): boolean => {
    const plain = fold(text);
    return folded(plain) || name?.test(plain) === true;
  };
  return {
    values,
    common: [],
    has: (text) => {
      if (holds(text) || exact(joinedBase64(text))) return true;
      const plain = decoded(text);
      return plain !== undefined && holds(plain);
    },
  };
}

/** An address or a number: nobody else has it. */
function isAddress({ value }: Said): boolean {
  return /^[^\s@]+@[^\s@]+$/.test(value) || /^\+?[\d\s()/.-]{7,}$/.test(value);
}

function isTelling({ member, value }: Said): boolean {
  if (value.length < 5 || shared.test(member) || reference.test(value) || /^\d{4}-\d\d-\d\d/.test(value)) return false;
  if (/^\d+$/.test(value)) return value.length >= 7;
  return /[@\s]/u.test(value) || value.length >= 12 || (value.match(/\d/g)?.length ?? 0) >= 5;
}

/** A name is a name of somebody else only where it is said to be that. */
function keyOf({ member, value }: Said): string {
  return `${member === 'name' ? 'name' : ''} ${fold(value)}`;
}

/** Which of the values others are said to have too, word for word: not those who have an address of the entity, for they are the same. */
function saidOfOthers(telling: readonly Said[], others: Iterable<JsonObject>): ReadonlySet<string> {
  const sought = new Set(telling.filter((one) => !isAddress(one)).map(keyOf));
  const addresses = new Set(telling.filter(isAddress).map(({ value }) => fold(value)));
  const found = new Set<string>();
  for (const payload of others) {
    const said = saidIn(payload);
    if (said.some(({ value }) => addresses.has(fold(value)))) continue;
    for (const key of said.map(keyOf)) if (sought.has(key)) found.add(key);
  }
  return found;
}

/** As it is compared: a break of lines, as it is or inside JSON, is a space. */
function fold(text: string): string {
  return text
    .normalize('NFC')
    .toLowerCase()
    .replace(/(?:\s|\\{1,8}[nrt])+/gu, ' ');
}

function formsOf(value: string): readonly string[] {
  const json = JSON.stringify(value).slice(1, -1);
  const forms = [value, json, JSON.stringify(json).slice(1, -1)];
  for (const form of normalForms(value)) {
    if (/[^\0-\x7f]/.test(form)) forms.push(escaped(form, '\\u'), escaped(form, '\\\\u'));
    if (form.isWellFormed()) forms.push(encodeURIComponent(form), encodeURIComponent(form).replaceAll('%20', '+'));
  }
  return forms;
}

function normalForms(value: string): ReadonlySet<string> {
  return new Set([value, value.normalize('NFC'), value.normalize('NFD')]);
}

/** As encoders write it that answer in ASCII. */
function escaped(value: string, mark: string): string {
  const json = JSON.stringify(value).slice(1, -1);
  return json.replace(/[^\0-\x7f]/g, (char) => mark + char.charCodeAt(0).toString(16).padStart(4, '0'));
}

/** What of the value's base64 does not depend on its neighbours, for each of the three places at which it may begin. */
function base64Forms(value: string): readonly string[] {
  return [...normalForms(value)].flatMap((form) => {
    const bytes = Buffer.from(form);
    return [0, 1, 2].flatMap((offset) => {
      const skipped = (3 - offset) % 3;
      const whole = bytes.subarray(skipped, skipped + Math.floor((bytes.length - skipped) / 3) * 3);
      const plain = whole.toString('base64');
      return plain.length < 8 ? [] : [plain, whole.toString('base64url')];
    });
  });
}

/** `contact:jo` is not in `contact:joan`, nor in `contact:jo.smith`. */
function boundedName(entity: string): RegExp | undefined {
  if (!/:.*[\p{L}\p{N}]/u.test(entity)) return undefined;
  const literal = fold(entity).replace(/[.*+?^${}()|[\]\\/]/g, String.raw`\$&`);
  return new RegExp(String.raw`${literal}(?![\p{L}\p{N}_-]|[.@:/%'+~][\p{L}\p{N}])`, 'u');
}
