/**
 * Decides whether a line is the shell's or the agents'. Deterministic, pure, no model.
 *
 * 1. A line that the shell can run stays the shell's; a sentence never goes there.
 * 2. Signs win over judgement: a leading `?` or `,` asks the agents, `!` or `\` the shell.
 * 3. A denied command is blocked wherever it stands in the line and whoever asked for it.
 * 4. Time is linear in the line; a line beyond the limit is the shell's.
 *
 * It reads nothing: PATH, files, aliases and functions arrive as arguments.
 */
import {
  builtins,
  englishNames,
  everywhere,
  followers,
  knownNames,
  openers,
  prefixes,
  prefixValues,
} from './commands.ts';
import { weigh } from './evidence.ts';
import { judgeCommand, type Lookups } from './judge.ts';
import { lex, type Word } from './lexer.ts';
import { commandsMax, lineCharsMax, prefixesMax } from './limits.ts';
import { matches } from './lists.ts';
import { parse, type Parsed, type Simple } from './parse.ts';
import { isContraction, isTopic, strongWords, weakWords } from './vocabulary.ts';

export type RouterConfig = {
  /** Off: only signs and the allowlist lead to the shell. */
  readonly fastpathShell: boolean;
  readonly allowlist: readonly string[];
  readonly denylist: readonly string[];
  readonly knownCommands: readonly string[];
};
export const routerDefaults: RouterConfig = { fastpathShell: true, allowlist: [], denylist: [], knownCommands: [] };

export type RouteInput = {
  readonly line: string;
  /** Whether PATH has it. */
  readonly isCommand: (word: string) => boolean;
  readonly isFile: (path: string) => boolean;
  readonly aliases?: ReadonlySet<string>;
  readonly functions?: ReadonlySet<string>;
  readonly config?: RouterConfig;
};
export type Features = {
  readonly command: string;
  readonly commands: number;
  readonly language: number;
  readonly shell: number;
  readonly open: string | undefined;
};
export type Decision = {
  readonly version: 1;
  readonly route: 'shell' | 'agent';
  readonly rule: string;
  readonly blocked: boolean;
  /** What to run or to ask: the line without its sign. */
  readonly text: string;
  readonly features: Features;
  readonly reasons: readonly string[];
};

type Verdict = Pick<Decision, 'route' | 'rule' | 'reasons'> & { readonly features?: Partial<Features> };
type Context = Lookups & { readonly input: RouteInput; readonly parsed: Parsed; readonly line: string };

const noFeatures: Features = { command: '', commands: 0, language: 0, shell: 0, open: undefined };
const shell = (rule: string, why: string): Verdict => ({ route: 'shell', rule, reasons: [why] });
const agent = (rule: string, why: string): Verdict => ({ route: 'agent', rule, reasons: [why] });

export function route(input: RouteInput): Decision {
  const config = input.config ?? routerDefaults;
  const line = input.line.trim();
  const finish = (verdict: Verdict, text = line, parsed?: Parsed): Decision => {
    const denied = deniedBy(config.denylist, text, verdict.route, parsed);
    return {
      version: 1,
      route: verdict.route,
      rule: denied === undefined ? verdict.rule : `denylist: ${denied}`,
      blocked: denied !== undefined,
      text,
      features: { ...noFeatures, commands: parsed?.commands.length ?? 0, open: parsed?.open, ...verdict.features },
      reasons: denied === undefined ? verdict.reasons : [`the denylist has "${denied}"`, ...verdict.reasons],
    };
  };
  if (line === '') return finish(shell('empty', 'nothing was typed'));
  if (line.length > lineCharsMax) {
    return finish(
      shell('too-long', `longer than ${lineCharsMax} characters`),
      line,
      parse(lex(line.slice(0, lineCharsMax))),
    );
  }
  const sign = line.charAt(0);
  if (sign === '?' || sign === ',')
    return finish(agent('sign', `a leading ${sign} asks the agents`), line.slice(1).trim());
  if (sign === '!' || sign === '\\') {
    const text = keepsSign(line) ? line : line.slice(1).trim();
    return finish(shell('sign', `a leading ${sign} is for the shell`), text, parse(lex(line.slice(1))));
  }
  const parsed = parse(lex(line));
  const allowed = config.allowlist.find((entry) => matches(entry, line));
  if (allowed !== undefined) return finish(shell('allowlist', `the allowlist has "${allowed}"`), line, parsed);
  if (!config.fastpathShell) return finish(agent('fastpath-off', 'router.fastpath_shell is off'), line, parsed);
  const context: Context = { input, parsed, line, isCommand: lookup(input, config), isFile: input.isFile };
  return finish(decide(context), line, parsed);
}

/** `!!` and `! cmd` are the shell's own; `\ls` goes past an alias. */
function keepsSign(line: string): boolean {
  return line.startsWith('!') ? /^!(?:[\s!$^*?:#"'-]|\d|$)/.test(line) : /^\\\S/.test(line);
}

function deniedBy(
  denylist: readonly string[],
  text: string,
  to: 'shell' | 'agent',
  parsed: Parsed | undefined,
): string | undefined {
  if (denylist.length === 0) return undefined;
  return denylist.find((entry) => {
    if (matches(entry, text)) return true;
    if (to === 'agent' || parsed === undefined) return false;
    return parsed.commands.some(({ words }) =>
      words.some(
        (_, from) =>
          (from === 0 || prefixes.has(words[0]?.text ?? '')) &&
          matches(
            entry,
            words
              .slice(from)
              .map((word) => word.text)
              .join(' '),
          ),
      ),
    );
  });
}

function lookup(input: RouteInput, config: RouterConfig): (word: string) => boolean {
  const known = new Set(config.knownCommands);
  const answers = new Map<string, boolean>();
  return (word) => {
    const kept = answers.get(word);
    if (kept !== undefined) return kept;
    const found =
      builtins.has(word) ||
      known.has(word) ||
      input.aliases?.has(word) === true ||
      input.functions?.has(word) === true ||
      (answers.size < commandsMax && word !== '' && word.length < 256 && input.isCommand(word));
    answers.set(word, found);
    return found;
  };
}

function decide(context: Context): Verdict {
  const { parsed, line } = context;
  const [first] = parsed.commands;
  if (first === undefined) return parsed.comment ? shell('comment', 'a comment') : agent('nothing', 'no command');
  if (parsed.definesFunction && first.words.length > 0) return shell('function', 'defines a function');
  const prose = proseOf(line);
  const arithmetic = /^\s*(?:for\s*)?\(\(/.test(line);
  if (arithmetic && /\)\)\s*(?:[;&|].*)?$/s.test(line) && !line.startsWith('for'))
    return shell('arithmetic', 'arithmetic');
  if (parsed.misplaced && !arithmetic && !bracketRuns(context)) {
    const evidence = weigh(prose, context);
    if (evidence.language >= 1 || !knownNames.has(first.words[0]?.text ?? ''))
      return agent('syntax', 'brackets stand where no shell takes them');
  }
  if ((parsed.open !== undefined || swallows(first)) && prose.some((word) => isContraction(word.text))) {
    const head = first.words[0]?.text ?? '';
    if (!(context.isCommand(head) && (head === 'echo' || head === 'printf'))) {
      const evidence = weigh(prose, context);
      if (evidence.language >= 1.5 && evidence.language > evidence.shell)
        return agent('apostrophe', 'an apostrophe, not a quote');
    }
  }
  const verdict = judgeSimple(context, first, prefixesMax);
  if (verdict.route === 'agent') return verdict;
  return judgeRest(context, verdict);
}

/** An apostrophe that took the following words for its quotation. */
function swallows({ words }: Simple): boolean {
  return words.some(({ raw }) => /^[A-Za-z\u00c0-\u1fff\u3040-\ufffd]+'[^']*\s/.test(raw));
}

/** The same line read as language: apostrophes are letters. */
function proseOf(line: string): readonly Word[] {
  return lex(line, 'prose').tokens.filter((token) => token.type === 'word');
}

/** fish: `echo (date)`; the word inside must be a command. */
function bracketRuns({ parsed, isCommand }: Context): boolean {
  const inner = parsed.commands.filter((command) => command.after === '(');
  return (
    inner.length > 0 &&
    inner.every(
      ({ words: [head] }) =>
        isCommand(head?.text ?? '') || knownNames.has(head?.text ?? '') || everywhere.has(head?.text ?? ''),
    )
  );
}

/** What stands after the first operator must be able to run too, or the line was never meant for a shell. */
function judgeRest(context: Context, verdict: Verdict): Verdict {
  for (const command of context.parsed.commands.slice(1, commandsMax)) {
    const head = command.words[0];
    if (head === undefined || head.quoted || head.expands || command.after === '(' || command.after === ')') continue;
    const name = head.text;
    if (
      context.isCommand(name) ||
      knownNames.has(name) ||
      everywhere.has(name) ||
      openers.has(name) ||
      followers.has(name) ||
      prefixes.has(name) ||
      /[/=$*)]/.test(name)
    )
      continue;
    const evidence = weigh(command.words, context);
    if (evidence.language >= 1.25 && evidence.language > evidence.shell)
      return {
        ...agent('language', `after ${command.after} reads like language`),
        features: { ...verdict.features, language: evidence.language },
      };
  }
  return verdict;
}

function judgeSimple(context: Context, command: Simple, left: number): Verdict {
  const [head, ...operands] = command.words;
  if (head === undefined)
    return shell(
      command.assignments.length > 0 ? 'assignment' : 'redirection',
      'nothing but assignments or redirections',
    );
  return judgeWords(context, head, operands, left);
}

function judgeWords(context: Context, head: Word, operands: readonly Word[], left: number): Verdict {
  const name = head.text;
  if (left > 0 && !head.quoted) {
    if (openers.has(name)) return judgeOpener(context, name, operands, left);
    if (followers.has(name)) return agent('syntax', `no line begins with ${name}`);
    if (prefixes.has(name)) return judgePrefix(context, head, operands, left);
  }
  if (head.expands || /^![!$\d-]/.test(head.raw)) return judgeUnknown(context, head, operands, true);
  if (context.isCommand(name) || everywhere.has(name) || (knownNames.has(name) && !onlyEnglish(name)))
    return judged(context, name, operands);
  if (/^(?:\.{0,2}\/|~|\.\.$|\.[\w-]+\/)/.test(name)) return judgeUnknown(context, head, operands, true);
  if (name.includes('/') && context.isFile(name)) return judged(context, name, operands);
  if (knownNames.has(name) || englishNames.has(name)) return judgeAbsent(context, head, operands);
  return judgeUnknown(context, head, operands, false);
}

const onlyEnglish = (name: string): boolean => englishNames.has(name) && !everywhere.has(name);

function judged(context: Context, name: string, operands: readonly Word[]): Verdict & { readonly fits: boolean } {
  const { shell: runs, rule, reasons, evidence, fits } = judgeCommand(name, operands, context);
  const features = { command: name, language: evidence.language, shell: evidence.shell };
  return { route: runs ? 'shell' : 'agent', rule, reasons, features, fits };
}

/** A command that this machine lacks and whose name is a word: only arguments make it one. */
function judgeAbsent(context: Context, head: Word, operands: readonly Word[]): Verdict {
  const verdict = judged(context, head.text, operands);
  if (verdict.route === 'agent') return verdict;
  const argues = (verdict.features?.shell ?? 0) >= 0.6;
  const features = verdict.features ?? {};
  return argues || (verdict.fits && operands.length > 0 && verdict.rule !== 'text-command')
    ? verdict
    : { ...agent('unknown-word', `${head.text} is no command here`), features };
}

function judgeUnknown(context: Context, head: Word, operands: readonly Word[], pathLike: boolean): Verdict {
  const evidence = weigh(operands, { ...context, textOptions: true });
  const features = { command: head.text, language: evidence.language, shell: evidence.shell };
  const because = (verdict: Verdict): Verdict => ({
    ...verdict,
    reasons: [...verdict.reasons, ...evidence.reasons],
    features,
  });
  if (pathLike) {
    const bar = context.isFile(head.text) || context.isCommand(head.text) ? 2.5 : 1.75;
    if (evidence.language >= bar && evidence.language > evidence.shell)
      return because(agent('language', 'a path, then language'));
    return because(shell('path', 'begins with a path or an expansion'));
  }
  const lower = head.text.toLowerCase().replace(/[.,!?:;]+$/, '');
  const word =
    strongWords.has(lower) ||
    weakWords.has(lower) ||
    (/^[A-Za-z\u00c0-\u1fff\u3040-\ufffd]+$/.test(lower) && isTopic(lower)) ||
    isContraction(head.text);
  const name = /^[a-z0-9_][\w.+-]*$/.test(head.text);
  const pipes = context.parsed.commands
    .slice(1)
    .some(({ words }) => context.isCommand(words[0]?.text ?? '') || knownNames.has(words[0]?.text ?? ''));
  const shellPoints = evidence.shell + (pipes ? 1.5 : 0) + (context.parsed.commands[0]?.redirects ?? 0) * 1.5;
  if (name && !word && shellPoints >= 1.5 && evidence.language < 1)
    return because(shell('unknown-command', 'unknown here, with the arguments of a command'));
  if (/\.(?:sh|bash|zsh|fish|py|pl|rb|bin|run|exe)$/.test(head.text) && evidence.language < 1)
    return because(shell('unknown-command', 'the name of a script'));
  return because(agent('unknown-word', `"${head.text.slice(0, 40)}" is no command`));
}

function judgePrefix(context: Context, head: Word, operands: readonly Word[], left: number): Verdict {
  const name = head.text;
  const takes = prefixValues[name];
  let at = 0;
  while (at < operands.length) {
    const word = operands[at];
    if (word === undefined) break;
    const assigns = /^[A-Za-z_]\w*=/.test(word.raw);
    const amount =
      (name === 'timeout' && /^[\d.]+[smhd]?$/.test(word.raw)) ||
      (name === 'taskset' && /^(?:0x)?[\da-f,]+$/.test(word.raw));
    if (!word.raw.startsWith('-') && !assigns && !amount) break;
    at += takes?.has(word.raw) === true ? 2 : 1;
  }
  const [inner, ...rest] = operands.slice(at);
  const known = context.isCommand(name) || knownNames.has(name) || everywhere.has(name) || !englishNames.has(name);
  if (inner === undefined)
    return known || at > 0 ? shell('command', name) : agent('unknown-word', `${name} is no command here`);
  if (name === 'command' && at > 0) return shell('arguments', 'command -v');
  if (inner.quoted && !inner.expands && !context.isCommand(inner.text) && rest.length === 0)
    return shell('arguments', `${name} takes a quoted command`);
  const verdict = judgeWords(context, inner, rest, left - 1);
  if (verdict.route === 'shell' || at === 0) return verdict;
  const evidence = weigh(rest, context);
  return evidence.language < 1 ? shell('arguments', `${name} with options`) : verdict;
}

function judgeOpener(context: Context, name: string, operands: readonly Word[], left: number): Verdict {
  const { parsed, line } = context;
  const [first, second, third] = operands;
  const has = (word: string): boolean => parsed.commands.slice(1).some(({ words }) => words[0]?.text === word);
  const body = has('do') || has('then') || has('end') || /[{]\s*[\w$"'./]/.test(line);
  if (name === '[[' || name === '((' || name === '[') return shell('test', 'a test');
  if (name === '{')
    return first === undefined ? shell('group', 'a group') : judgeWords(context, first, operands.slice(1), left - 1);
  if (name === 'begin') return body ? shell('compound', 'begin … end') : agent('language', 'begin without an end');
  if (name === 'if' || name === 'while' || name === 'until') {
    if (first === undefined)
      return line.includes('(') || body ? shell('compound', name) : agent('language', `${name} alone`);
    const inner = judgeWords(context, first, operands.slice(1), left - 1);
    return inner.route === 'shell' ? inner : body && has('then') && has('fi') ? shell('compound', name) : inner;
  }
  if (name === 'for' || name === 'select' || name === 'foreach') {
    if (first === undefined)
      return line.includes('((') ? shell('compound', 'for ((') : agent('language', `${name} alone`);
    if (second === undefined)
      return line.includes('(') || body ? shell('compound', name) : agent('language', `${name} needs a list`);
    if (second.text !== 'in' || !/^[A-Za-z_]\w*$/.test(first.text)) return agent('language', `no list after ${name}`);
    const list = weigh(operands.slice(2), context);
    return body || (third !== undefined && list.language < 1)
      ? shell('compound', `${name} … in`)
      : agent('language', `no list after ${name} … in`);
  }
  if (name === 'case')
    return second?.text === 'in' &&
      !strongWords.has(first?.text ?? '') &&
      (parsed.commands.length > 1 || third === undefined)
      ? shell('compound', 'case … in')
      : agent('language', 'case without in');
  if (name === 'switch')
    return first?.expands === true || parsed.misplaced
      ? shell('compound', 'switch')
      : agent('language', 'switch without a value');
  if (name === 'function')
    return second === undefined
      ? first === undefined
        ? agent('language', 'function alone')
        : shell('function', 'opens a function')
      : second.text === '{' || second.raw.startsWith('-')
        ? shell('function', 'a function')
        : agent('language', 'no function body');
  return first !== undefined &&
    /^\d+$/.test(first.text) &&
    second !== undefined &&
    (context.isCommand(second.text) || body)
    ? shell('compound', name)
    : agent('language', name);
}
