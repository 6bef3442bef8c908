/**
 * Groups tokens into commands: what stands between the operators, with its assignments and redirections.
 *
 * 1. Nothing is judged here; `misplaced` says that brackets stand where no shell takes them.
 * 2. Words after a redirection are its target and no operands.
 */
import type { Lexed, Token, Word } from './lexer.ts';

export type Simple = {
  /** The operator before it, or an empty string. */
  readonly after: string;
  readonly assignments: readonly Word[];
  readonly words: readonly Word[];
  readonly redirects: number;
};
export type Parsed = {
  readonly commands: readonly Simple[];
  /** Brackets after an operand, as in `make a table (costs)`. */
  readonly misplaced: boolean;
  /** `name()` with a body. */
  readonly definesFunction: boolean;
  readonly comment: boolean;
  readonly open: string | undefined;
};

const assignment = /^[A-Za-z_]\w*(?:\[[^\]]*\])?\+?=/;

export function isAssignment(word: Word): boolean {
  return assignment.test(word.raw);
}

export function parse(lexed: Lexed): Parsed {
  const commands: Simple[] = [];
  let now = { after: '', assignments: [] as Word[], words: [] as Word[], redirects: 0 };
  let misplaced = false;
  let definesFunction = false;
  let target = false;
  const { tokens } = lexed;
  const close = (operator: string): void => {
    if (now.words.length + now.assignments.length + now.redirects > 0) commands.push(now);
    now = { after: operator, assignments: [], words: [], redirects: 0 };
    target = false;
  };
  tokens.forEach((token: Token, index) => {
    if (token.type === 'redirect') {
      now.redirects += 1;
      target = true;
    } else if (token.type === 'operator') {
      if (token.text === '(' && now.words.length > 0) {
        const next = tokens[index + 1];
        const closes = next?.type === 'operator' && next.text === ')';
        if (closes && now.words.length <= 2) definesFunction = true;
        else misplaced = true;
      }
      close(token.text);
    } else if (target) target = false;
    else if (now.words.length === 0 && isAssignment(token)) now.assignments.push(token);
    else now.words.push(token);
  });
  close('');
  return { commands, misplaced, definesFunction, comment: lexed.comment, open: lexed.open };
}
