/**
 * Weighs the words after a command: how much they read like language, and how much like arguments.
 *
 * 1. One pass over the words; each adds to one side or to none.
 * 2. Quoted words are arguments whatever they say.
 *
 * It decides nothing: the bar is set by who asks.
 */
import type { Word } from './lexer.ts';
import { wordsJudgedMax } from './limits.ts';
import { isContraction, isTopic, strongWords, topicWords, weakWords } from './vocabulary.ts';

export type Evidence = {
  readonly language: number;
  readonly shell: number;
  /** Plain unquoted words of letters. */
  readonly plain: number;
  readonly topics: number;
  readonly reasons: readonly string[];
};

export type EvidenceOptions = {
  /** The first word is a pattern or a free name: what it is tells less. */
  readonly patternFirst?: boolean;
  /** Words that are taken as arguments although they are words. */
  readonly isArgument?: (word: string) => boolean;
  readonly isFile: (path: string) => boolean;
  /** Options after which the rest is a text of its own, as `-m` of git. */
  readonly textOptions?: boolean;
};

const textOption = /^(?:-m|-am|-a?m|--message|--title|--body|--notes|-t|-b|--description|--comment)(?:=|$)/;
const connectors = new Set(['and', 'to', 'into', 'with', 'from', 'und', 'et', 'y']);
/** Last words of a wish. */
const closing = new Set([
  'explained',
  'compared',
  'tutorial',
  'please',
  'recommendations',
  'practices',
  'examples',
  'explanation',
  'bitte',
  'works',
  'meaning',
]);
const flag = /^--?[A-Za-z0-9][\w.:,@%=+/~-]*$|^--$/;
const letters = /^[A-Za-z\u00c0-\u1fff\u3040-\ufffd][A-Za-z\u00c0-\u1fff\u3040-\ufffd'-]*$/;
const punctuation = /[.,!?:;…)\]"]+$/u;
const path = /^(?:\.{1,2}(?:\/|$)|~|\/)|\w\/\w|\/$/;
const extension = /^[\w@%+=-][\w.@%+=-]*\.[A-Za-z][\w-]{0,9}$|^\.[a-z][\w.-]*$/;

export function weigh(words: readonly Word[], options: EvidenceOptions): Evidence {
  const tally = new Tally();
  const counted = words.slice(0, wordsJudgedMax);
  for (const [index, word] of counted.entries()) {
    if (options.textOptions === true && textOption.test(word.raw)) {
      tally.shell += 2;
      tally.reasons.push(`${word.raw} takes a text`);
      break;
    }
    weighWord(tally, word, index, counted, options);
  }
  const { language, shell, plain, topics, reasons } = tally;
  return { language, shell, plain, topics, reasons };
}

class Tally {
  language = 0;
  shell = 0;
  plain = 0;
  topics = 0;
  readonly reasons: string[] = [];

  say(weight: number, why: string): void {
    this.language += weight;
    if (this.reasons.length < 12) this.reasons.push(`+${weight} language: ${why}`);
  }

  argue(weight: number, why: string): void {
    this.shell += weight;
    if (this.reasons.length < 12) this.reasons.push(`+${weight} shell: ${why}`);
  }
}

function weighWord(tally: Tally, word: Word, index: number, words: readonly Word[], options: EvidenceOptions): void {
  const { raw } = word;
  const last = index === words.length - 1;
  if (isContraction(word.text) && !word.quoted) return tally.say(1.5, `"${word.text}"`);
  if (/^[-–—]{1,2}$/.test(raw) && raw !== '--') return raw === '-' ? undefined : tally.say(1, 'a dash');
  if (flag.test(raw)) return tally.argue(index === 0 ? 3 : 1.5, `the option ${raw}`);
  if (word.expands) return tally.argue(1.5, `the expansion ${raw.slice(0, 40)}`);
  if (word.quoted) return tally.argue(raw.startsWith('\\') || raw.length > 1 ? 0.75 : 0, 'a quoted word');
  const bare = raw.replace(/^[("[¿¡]+/u, '').replace(punctuation, '');
  const mark = raw.slice(raw.length - 1);
  if (letters.test(bare)) return weighPlain(tally, bare, mark, index, last, words, options);
  if (/^[A-Za-z_][\w.-]*=/.test(raw)) return tally.argue(1, `the assignment ${raw.slice(0, 40)}`);
  if (/^(?:tty|pts\/)\d+$/.test(raw)) return tally.argue(1, raw);
  if (/^[+%][\w]/.test(raw)) return tally.argue(1, raw.slice(0, 40));
  if (mark === '?' && last && index > 0) return tally.say(1, 'a question mark');
  if (/[*[\]{}]/.test(raw) || (raw.includes('?') && !last)) return tally.argue(1, `the pattern ${raw.slice(0, 40)}`);
  if (mark === ',' && !last && /[A-Za-z\u00c0-\u1fff\u3040-\ufffd\d],$/.test(raw))
    return tally.say(1.25, `a comma after ${raw.slice(0, 40)}`);
  if (/^[a-z][a-z+]*:\/\/\S/.test(raw)) return tally.argue(1, `the address ${raw.slice(0, 40)}`);
  if (path.test(raw)) return tally.argue(index === 0 ? 1.25 : 0.75, `the path ${raw.slice(0, 40)}`);
  if (extension.test(raw)) return tally.argue(0.6, `the file name ${raw.slice(0, 40)}`);
  if (/[_@:=/\d-]/.test(raw)) return tally.argue(0.4, `the name ${raw.slice(0, 40)}`);
  return undefined;
}

function weighPlain(
  tally: Tally,
  bare: string,
  mark: string,
  index: number,
  last: boolean,
  words: readonly Word[],
  options: EvidenceOptions,
): void {
  const lower = bare.toLowerCase();
  if (mark === ',' && !last) tally.say(1.25, `a comma after "${bare}"`);
  if (mark === '?' && last) tally.say(words.length > 1 ? 1.5 : 0.75, 'a question mark');
  if ((mark === '.' || mark === '!' || mark === '…') && last && words.length > 1)
    tally.say(0.75, 'it ends as a sentence does');
  if (mark === ':' && !last) tally.say(0.5, `a colon after "${bare}"`);
  tally.plain += 1;
  if (options.isArgument?.(bare) === true) return;
  if (options.isFile(bare)) return tally.argue(1.5, `${bare} is a file here`);
  if (/^[A-Z]{3,}$/.test(bare)) return tally.argue(0.3, bare);
  const first = index === 0 && options.patternFirst !== true;
  const next = words[index + 1];
  const alone = next === undefined || !/^[A-Za-z\u00c0-\u1fff\u3040-\ufffd]{2,}[.,!?:;]?$/.test(next.raw);
  if (lower === 'a') return alone ? undefined : tally.say(first ? 2 : 1, '"a" before a word');
  if (bare === 'I') return tally.say(1.25, '"I"');
  if (
    index > 0 &&
    !last &&
    connectors.has(lower) &&
    !/^[A-Za-z\u00c0-\u1fff\u3040-\ufffd]+$/.test(words[index - 1]?.raw ?? '') &&
    words[index - 1]?.raw.startsWith('-') !== true
  )
    return tally.say(2.2, `"${bare}" between two operands`);
  if (last && index > 0 && closing.has(lower)) return tally.say(1.25, `it ends with "${bare}"`);
  if (strongWords.has(lower)) return tally.say(first ? 2.5 : 1, `"${bare}"`);
  if (weakWords.has(lower)) return tally.say(first && !last ? 1.5 : lower.length > 1 ? 0.5 : 0.25, `"${bare}"`);
  if (/[^\0-\u007f]/u.test(bare)) return tally.say(0.75, `"${bare}"`);
  if (topicWords.has(lower) || isTopic(lower)) {
    tally.topics += 1;
    tally.say(0.4, `"${bare}" is a word people ask with`);
  }
}
