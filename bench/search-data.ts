/**
 * The search data set: the notes and contacts of a plausible working life, and questions whose answers are known because
 * both were made together. The same seed makes the same set.
 *
 * 1. A note says one matter (of search-words.ts) of one project in one of its wordings; a question of the kind
 *    `paraphrase` asks for it in another one. What the two share is the name of the project, which many notes have.
 * 2. A question's answers are all notes that fit it, not only the one that it was made from.
 */
import { fraction, seededRandom } from '../packages/core/src/index.ts';
import { asides, companies, firstNames, lastNames, matters, projects } from './search-words.ts';

export type DataEvent = {
  readonly kind: 'note.created' | 'contact.upserted';
  readonly ts_ms: number;
  readonly actor: string;
  readonly payload: { readonly [name: string]: string | number };
};
export const questionKinds = ['keyword', 'paraphrase', 'typo', 'time', 'who'] as const;
export type QuestionKind = (typeof questionKinds)[number];
export type Question = {
  readonly kind: QuestionKind;
  readonly text: string;
  readonly sinceMs?: number;
  readonly untilMs?: number;
  /** Entities, as search names them: `contact:…`, or `note:<event>` when the events are appended in order from 1. */
  readonly answers: readonly string[];
};

type Note = {
  readonly matter: number;
  readonly wording: number;
  readonly project: string;
  readonly told: string | undefined;
  readonly ts_ms: number;
  readonly text: string;
};

const dayMs = 86_400_000;
const monthMs = 30 * dayMs;
const beginMs = Date.UTC(2025, 0, 6);
const months = 18;

type Dice = { readonly below: (n: number) => number; readonly pick: <T>(of: readonly T[]) => T };
function dice(seed: number): Dice {
  const random = seededRandom(new TextEncoder().encode(`search data ${seed}`));
  const below = (n: number): number => Math.floor(fraction(random) * n);
  return {
    below,
    pick(of) {
      const one = of[below(of.length)];
      if (one === undefined) throw new Error('assumed something to pick from');
      return one;
    },
  };
}

function contactsOf(count: number, { below, pick }: Dice): readonly DataEvent[] {
  const made = new Map<string, DataEvent>();
  while (made.size < count) {
    const [first, last] = [pick(firstNames), pick(lastNames)];
    const number = count > 1_000 ? ` ${made.size}` : '';
    const contact = `contact:${first}-${last}${number}`.toLowerCase().replaceAll(' ', '-');
    const org = pick(companies);
    const payload = {
      contact,
      name: `${first} ${last}${number}`,
      email: `${first[0]}.${last}${number.trim()}@${org}.com`.toLowerCase(),
      org,
      confidence: 0.9,
      trust: 'trusted',
    };
    const ts_ms = beginMs + below(months) * monthMs;
    if (!made.has(contact)) made.set(contact, { kind: 'contact.upserted', ts_ms, actor: 'operator:1000', payload });
  }
  return [...made.values()];
}

function noteOf({ below, pick }: Dice, people: readonly string[], sets: number): Note {
  const matter = below(matters.length);
  const wording = below(4);
  const project = sets === 1 ? pick(projects) : `${pick(projects)} ${below(sets)}`;
  const said = matters[matter]?.[wording] ?? '';
  const person = pick(people);
  const told = below(3) === 0 ? person : undefined;
  const opening =
    told === undefined
      ? pick([`${project}:`, `About ${project}:`, `${project} with ${person}:`])
      : `${told} told me about ${project}:`;
  const more = Array.from({ length: 1 + below(3) }, () => pick(asides)).join(' ');
  return {
    matter,
    wording,
    project,
    told,
    ts_ms: beginMs + below(months * 30) * dayMs,
    text: `${opening} ${said}. ${more}`,
  };
}

/** One letter of a word lost, doubled, swapped with its neighbour or mistaken. */
function misspell(word: string, { below, pick }: Dice): string {
  if (word.length < 4) return word;
  const at = 1 + below(word.length - 2);
  const [a = '', b = ''] = [word[at], word[at + 1]];
  const as = pick([b, a + a + b, b + a, pick('aeiourstln'.split('')) + b]);
  return word.slice(0, at) + as + word.slice(at + 2);
}

export type DataSet = { readonly events: readonly DataEvent[]; readonly questions: readonly Question[] };

/** `perKind` questions of each kind over `notes` notes and `contacts` contacts. */
export function searchData({
  seed = 1,
  notes: noteCount = 2_400,
  contacts: contactCount = 300,
  perKind = 60,
}: {
  readonly seed?: number;
  readonly notes?: number;
  readonly contacts?: number;
  readonly perKind?: number;
} = {}): DataSet {
  const chance = dice(seed);
  const contacts = contactsOf(contactCount, chance);
  const people = contacts.map(({ payload }) => String(payload['name']));
  const sets = Math.max(1, Math.round(noteCount / 2_400));
  const notes = Array.from({ length: noteCount }, () => noteOf(chance, people, sets)).sort((a, b) => a.ts_ms - b.ts_ms);
  const events = [
    ...contacts,
    ...notes.map(({ text, ts_ms }, i): DataEvent => {
      const actor = i % 5 === 0 ? 'agent:scribe' : 'operator:1000';
      return { kind: 'note.created', ts_ms, actor, payload: { text } };
    }),
  ];
  const entity = (note: Note): string => `note:${contacts.length + notes.indexOf(note) + 1}`;
  const about = (one: Note): readonly Note[] =>
    notes.filter(({ matter, project }) => matter === one.matter && project === one.project);
  const otherWording = (one: Note): string => matters[one.matter]?.[(one.wording + 1 + chance.below(3)) % 4] ?? '';
  const said = (one: Note): string => matters[one.matter]?.[one.wording] ?? '';
  const ask: { readonly [kind in QuestionKind]: () => Question } = {
    keyword() {
      const one = chance.pick(notes);
      const fits = about(one).filter(({ wording }) => wording === one.wording);
      return { kind: 'keyword', text: `${one.project} ${said(one)}`, answers: fits.map(entity) };
    },
    paraphrase() {
      const one = chance.pick(notes);
      const text = `${otherWording(one)} ${one.project}`;
      return { kind: 'paraphrase', text, answers: about(one).map(entity) };
    },
    typo() {
      const { payload } = chance.pick(contacts);
      const text = String(payload['name'])
        .split(' ')
        .map((word) => misspell(word, chance))
        .join(' ');
      return { kind: 'typo', text, answers: [String(payload['contact'])] };
    },
    time() {
      const one = chance.pick(notes);
      const month = Math.floor((one.ts_ms - beginMs) / monthMs);
      const [sinceMs, untilMs] = [beginMs + month * monthMs, beginMs + (month + 1) * monthMs];
      const fits = about(one).filter(({ ts_ms }) => ts_ms >= sinceMs && ts_ms < untilMs);
      return { kind: 'time', text: `${otherWording(one)} ${one.project}`, sinceMs, untilMs, answers: fits.map(entity) };
    },
    who() {
      const told = notes.filter((note) => note.told !== undefined);
      const one = chance.pick(told);
      const fits = about(one).filter((note) => note.told !== undefined);
      return { kind: 'who', text: `who told me that ${said(one)} at ${one.project}`, answers: fits.map(entity) };
    },
  };
  const questions = questionKinds.flatMap((kind) => Array.from({ length: perKind }, () => ask[kind]()));
  return { events, questions };
}
