/**
 * Judges one command: can the shell mean this, or is it a sentence that begins with the name of a command?
 *
 * 1. What a command cannot take at all (`kill the process`, `date ideas`) is language, whatever the rest weighs.
 * 2. Otherwise the language must pass a bar, and outweigh what speaks for arguments. The bar is low for names that are
 *    English words, high for names that only a command has.
 */
import {
  aboutCommands,
  commonNames,
  englishNames,
  everywhere,
  followers,
  freeText,
  knownNames,
  openers,
  patternFirst,
  type Shape,
  shapes,
  subcommandsOf,
  textSubcommands,
  verbNames,
  wordGrammars,
} from './commands.ts';
import { type Evidence, weigh } from './evidence.ts';
import type { Word } from './lexer.ts';
import { isTopic, strongWords, weakWords } from './vocabulary.ts';

export type Judgement = {
  readonly shell: boolean;
  readonly rule: string;
  readonly reasons: readonly string[];
  readonly evidence: Evidence;
  readonly fits: boolean;
};
export type Lookups = { readonly isCommand: (word: string) => boolean; readonly isFile: (path: string) => boolean };

const plain = /^[A-Za-z\u00c0-\u1fff\u3040-\ufffd][A-Za-z\u00c0-\u1fff\u3040-\ufffd'-]*[.,!?:;]*$/;
/** After a subcommand these begin a statement about it. */
const statements = new Set(
  'is are was does keeps fails failed says shows returns takes hangs crashes vs or and never always command explained'.split(
    ' ',
  ),
);
const atWords = new Set(
  'minutes minute hours hour days day weeks week months month tomorrow today next am pm'.split(' '),
);
const pointing = new Set(['this', 'that', 'these', 'those', 'it', 'here', 'there']);
const months = new Set(
  'jan feb mar apr may jun jul aug sep oct nov dec january february march april june july august september october november december'.split(
    ' ',
  ),
);

export function judgeCommand(name: string, operands: readonly Word[], lookups: Lookups): Judgement {
  const about = aboutCommands.has(name);
  const argument = (word: string): boolean =>
    (about &&
      (lookups.isCommand(word) ||
        knownNames.has(word) ||
        everywhere.has(word) ||
        (operands.length === 1 && (openers.has(word) || followers.has(word))))) ||
    (shapes.get(name) === 'make' && makeTarget(word, operands));
  const known = subcommandsOf(name)?.has(operands[0]?.text ?? '') === true;
  const evidence = weigh(known ? operands.slice(1) : operands, {
    isFile: lookups.isFile,
    patternFirst: patternFirst.has(name) || known,
    isArgument: argument,
    textOptions: !englishNames.has(name) || subcommandsOf(name) !== undefined,
  });
  const answer = (shell: boolean, rule: string, why?: string): Judgement => ({
    shell,
    rule,
    reasons: why === undefined ? evidence.reasons : [why, ...evidence.reasons],
    evidence,
    fits: rule === 'text-command' || known || why === `${name} takes this`,
  });
  if (operands.length === 0) return answer(true, 'command');
  if (freeText.has(name) || textSubcommands.has(`${name} ${operands[0]?.text ?? ''}`))
    return answer(true, 'text-command', `${name} takes any text`);
  if (known && wordGrammars.has(name) && evidence.shell >= 0.4) return answer(true, 'arguments', `${name} takes this`);
  if (!englishNames.has(name) && operands.every((word) => pointing.has(word.raw)))
    return answer(true, 'arguments', 'names that only point');
  if ((name === 'write' || name === 'more') && operands.length === 1 && asked(operands[0]))
    return answer(false, 'language', `${name} and a word people ask with`);
  const shape = shapes.get(name);
  const fits = shape === undefined ? undefined : fitsShape(shape, name, operands, evidence);
  if (fits === false) return answer(false, 'not-arguments', `${name} cannot take this`);
  if (fits === true) return answer(true, 'arguments', `${name} takes this`);
  const bar = barFor(name, operands, evidence);
  const language = evidence.language + bar.language;
  const shell = evidence.shell + bar.shell;
  if (language >= bar.height && language > shell)
    return answer(
      false,
      'language',
      `reads like language: ${language.toFixed(2)} against ${shell.toFixed(2)}, bar ${bar.height}`,
    );
  return answer(
    true,
    'arguments',
    `reads like arguments: ${shell.toFixed(2)} against ${language.toFixed(2)}, bar ${bar.height}`,
  );
}

type Bar = { readonly height: number; readonly language: number; readonly shell: number };

function barFor(name: string, operands: readonly Word[], evidence: Evidence): Bar {
  const subcommands = subcommandsOf(name);
  const first = operands[0]?.text ?? '';
  if (subcommands !== undefined && plain.test(first)) {
    if (subcommands.has(first)) {
      const states = operands.length > 2 && statements.has(operands[1]?.raw.toLowerCase() ?? '') ? 1.5 : 0;
      return englishNames.has(name)
        ? { height: 1, language: states, shell: 0.5 }
        : { height: 2, language: states, shell: 1.5 };
    }
    // go has no plug-ins: a word that it does not know is none of its own.
    if (name === 'go') return { height: 0, language: 1, shell: 0 };
    if (operands.length >= 2) return { height: 1.5, language: 1, shell: 0 };
    return { height: 2.6, language: 0, shell: 0 };
  }
  const english = englishNames.has(name) || verbNames.has(name);
  const all = operands.length >= 2 && evidence.plain === operands.length;
  const made = all && evidence.shell < 1 && evidence.topics === operands.length ? 0.4 : 0;
  const many =
    all &&
    english &&
    evidence.shell === 0 &&
    (operands.length >= 4 || (operands.length === 3 && evidence.language >= 0.4))
      ? 1
      : 0;
  if (english) return { height: 1, language: made + many, shell: 0 };
  const listed = all && operands.length >= 3 && evidence.language >= 1 ? 2 : 0;
  if (knownNames.has(name)) return { height: 2.6, language: listed, shell: 0 };
  return { height: 1.75, language: made, shell: 0 };
}

/** A target of make: a usual name, or one word alone that is no `it` or `me`. */
function makeTarget(word: string, operands: readonly Word[]): boolean {
  if (operands.some((operand) => strongWords.has(operand.text.toLowerCase()))) return false;
  if (commonNames.has(word)) return true;
  return operands.length === 1 && !weakWords.has(word.toLowerCase());
}

/** Whether the command can take these operands; undefined where that does not tell. */
function fitsShape(shape: Shape, name: string, operands: readonly Word[], evidence: Evidence): boolean | undefined {
  const words = operands.filter((word) => !word.quoted && !word.expands && plain.test(word.raw));
  const some = words.length > 0;
  const flags = operands.some((word) => /^--?[A-Za-z]/.test(word.raw));
  const [first] = operands;
  if (first === undefined) return true;
  switch (shape) {
    case 'numbers':
      if (name === 'sleep' && first.text === 'infinity') return true;
      if (flags && first.raw.startsWith('-')) return evidence.language < 2 ? true : undefined;
      return some || (/[,?!]$/.test(operands.at(-1)?.raw ?? '') && operands.at(-1)?.expands !== true)
        ? false
        : evidence.language < 1
          ? true
          : undefined;
    case 'none':
      return some && !first.raw.startsWith('-') ? false : undefined;
    case 'one':
      return words.length > 1 && !flags
        ? false
        : words.length === 1 && operands.length === 1 && !namesTime(first.text)
          ? undefined
          : some && !flags && operands.length > 2
            ? false
            : undefined;
    case 'flagged':
      return flags || evidence.shell >= 1 ? undefined : false;
    case 'names':
      return words.length >= 3 && !flags && evidence.topics > 0 ? false : undefined;
    case 'test':
      return fitsTest(operands, words);
    case 'find':
      return fitsFind(operands, words);
    case 'make':
      return fitsMake(operands, words, evidence);
    case 'who':
      return fitsWho(operands, words);
    case 'let':
      return operands.some((word) => /[=+*/<>%-]/.test(word.text)) && evidence.language < 2;
    case 'word':
      return operands.length === 1 ? true : words.length > 1 ? false : undefined;
    case 'service':
      return operands.length === 1
        ? undefined
        : /^(?:start|stop|restart|status|reload|force-reload|--.*)$/.test(operands[1]?.raw ?? '') && words.length <= 2
          ? true
          : words.length > 1
            ? false
            : undefined;
    case 'at':
      return /^(?:-|\d|now$|noon$|midnight$|teatime$|today$|tomorrow$)/.test(first.text)
        ? words.every((word) => atWords.has(word.text) || word === first)
        : false;
    case 'date':
      return fitsDate(name, operands, words);
  }
  return shape satisfies never;
}

const namesTime = (word: string): boolean =>
  /^(?:week|month|year|night|summer|winter|time|one|chance|call|week's|christmas|monday|friday|sunday)$/i.test(word);

function fitsTest(operands: readonly Word[], words: readonly Word[]): boolean | undefined {
  const operator = operands.some((word) => /^(?:-[A-Za-z]{1,2}|=|==|!=|!|=~|\\?[<>()])$/.test(word.raw));
  if (operator) return words.length > 4 ? undefined : true;
  if (operands.length === 1) return undefined;
  return false;
}

/** One word that people ask with and that names no usual folder. */
const asked = (word: Word | undefined): boolean =>
  word !== undefined && !commonNames.has(word.raw) && /^[a-z]+$/.test(word.raw) && isTopic(word.raw);

function fitsFind(operands: readonly Word[], words: readonly Word[]): boolean | undefined {
  const [first] = operands;
  const expression = operands.findIndex((word) => /^(?:-[a-zA-Z]+|\\?[(!]|\\\(|!)$/.test(word.raw));
  const places = expression < 0 ? operands : operands.slice(0, expression);
  const ordinary = places.every(
    (word) =>
      commonNames.has(word.text) ||
      word.quoted ||
      word.expands ||
      /[./~*_\d]/.test(word.text.replace(/[.?!,]+$/, '')) ||
      /^\.+$/.test(word.text) ||
      word.text === '-',
  );
  if (places.length === 0) return undefined;
  if (ordinary && (expression >= 0 || words.length <= places.length)) return true;
  if (expression < 0 && operands.length === 1 && asked(first)) return false;
  if (places.length === 1 || (expression >= 0 && places.length <= 2)) return undefined;
  return words.length >= 2 && !places.every((word) => commonNames.has(word.text))
    ? expression >= 0
      ? undefined
      : false
    : undefined;
}

function fitsMake(operands: readonly Word[], words: readonly Word[], evidence: Evidence): boolean | undefined {
  if (words.length === 0) return undefined;
  const strange = words.filter((word) => !commonNames.has(word.text) && !/-|[a-z][A-Z]/.test(word.text));
  if (strange.length === 0 && evidence.language < 1) return true;
  if (operands.length === 1) return undefined;
  if (evidence.shell > 0 && evidence.language < 1) return undefined;
  if (words.length === 2 && strange.length === 1 && commonNames.has(words[0]?.text ?? '') && evidence.language === 0)
    return true;
  return strange.length >= 1 && words.length >= 2 && evidence.shell <= evidence.language + 0.5 ? false : undefined;
}

function fitsWho(operands: readonly Word[], words: readonly Word[]): boolean | undefined {
  const text = operands
    .map((word) => word.raw)
    .join(' ')
    .toLowerCase();
  if (/^(?:am i|mom likes)$/.test(text)) return true;
  return words.length > 0 && !operands.some((word) => /^-|\//.test(word.raw)) ? false : undefined;
}

function fitsDate(name: string, operands: readonly Word[], words: readonly Word[]): boolean | undefined {
  const rest = words.filter((word) => !months.has(word.text.toLowerCase()) || name === 'date');
  if (operands.some((word) => /^(?:[+-]|--)\S/.test(word.raw))) return undefined;
  return rest.length > 0 ? false : undefined;
}
