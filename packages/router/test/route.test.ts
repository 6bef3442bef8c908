/** The router as tables: each line and where it goes; and as properties over any line. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  commandsMax,
  lineCharsMax,
  nestingMax,
  prefixesMax,
  route,
  type RouteInput,
  routerDefaults,
  wordsJudgedMax,
} from '../src/index.ts';

/** A machine whose PATH does not depend on where the test runs. */
const installed = new Set(
  `ls cat find make time sort cut who watch test kill open write look man more less head join split touch date file host last
  nice which install git docker npm node python3 curl ssh tar grep sed awk say go paste patch import compare env sudo cowsay
  figlet info yes clear reset free top id groups users mail link fold expand script screen mount trace at cal`.split(
    /\s+/,
  ),
);
const input = (line: string, more: Partial<RouteInput> = {}): RouteInput => ({
  line,
  isCommand: (word) => installed.has(word),
  isFile: () => false,
  ...more,
});

function check(line: string, to: 'shell' | 'agent', more: Partial<RouteInput> = {}): void {
  const { route: got, rule, reasons } = route(input(line, more));
  expect(got, `${line}: ${rule}; ${reasons.join('; ')}`).toBe(to);
}

const corpus = (name: string): string[] =>
  readFileSync(join(import.meta.dirname, 'corpus', name), 'utf8')
    .split('\n')
    .filter((line) => line !== '');

describe('corpora', () => {
  const machines: readonly (readonly [string, Partial<RouteInput>])[] = [
    ['a full machine', {}],
    ['a machine with nothing installed', { isCommand: () => false }],
  ];
  test.each(machines)('no command is stolen on %s', (_, more) => {
    const lines = corpus('commands.txt');
    expect(lines.length).toBeGreaterThanOrEqual(1500);
    expect(lines.filter((line) => route(input(line, more)).route !== 'shell')).toEqual([]);
  });

  test.each(machines)('no sentence is run on %s', (_, more) => {
    const lines = corpus('sentences.txt');
    expect(lines.length).toBeGreaterThanOrEqual(1500);
    expect(lines.filter((line) => route(input(line, more)).route !== 'agent')).toEqual([]);
  });
});

describe('examples of the specification', () => {
  test.each([
    'find the bug in my parser',
    'make me a table of costs',
    'cat and dog food compared',
    'time to plan the week',
    '?ls -la',
    ', git status',
    '? make test',
  ])('%s → agents', (line) => check(line, 'agent'));

  test.each([
    'make test',
    'find . -name x',
    'git commit -m "find the bug"',
    'echo please write a poem',
    'who',
    'yes | head',
    '!find the bug in my parser',
    '\\make me a table',
    '\\ls',
    '! grep -q x y',
    './x',
    '~/x --flag',
    'A=1 B=2 make',
    '(cd /tmp; ls)',
    '$(which ls) -l',
    'cat <<EOF\nfind the bug\nEOF',
    'for f in *; do\n  echo "$f"\ndone',
    '',
  ])('%s → shell', (line) => check(line, 'shell'));
});

describe('what the plug-in and the configuration add', () => {
  test('aliases, functions, known commands and files', () => {
    check('deploy', 'agent');
    check('deploy', 'shell', { aliases: new Set(['deploy']) });
    check('deploy', 'shell', { functions: new Set(['deploy']) });
    check('deploy', 'shell', { config: { ...routerDefaults, knownCommands: ['deploy'] } });
    check('cat the', 'shell', { isFile: (path) => path === 'the' });
  });

  test.each([
    ['rm -rf', 'rm -rf /', true],
    ['rm -rf', 'ls; sudo rm -rf /', true],
    ['rm -rf', '!rm -rf /', true],
    ['git push --force*', 'git push --force-with-lease', true],
    ['git push --force', 'git push origin', false],
    ['rm', 'echo rm', false],
    ['rm', '? what does rm do', false],
  ])('deny %s: %s', (entry, line, blocked) => {
    const decision = route(input(line, { config: { ...routerDefaults, denylist: [entry] } }));
    expect(decision.blocked).toBe(blocked);
    if (blocked) expect(decision.rule).toBe(`denylist: ${entry}`);
  });

  test('the allowlist leads to the shell, denial wins over it', () => {
    const config = { ...routerDefaults, allowlist: ['find the'] };
    check('find the bug in my parser', 'shell', { config });
    expect(route(input('find the bug', { config: { ...config, denylist: ['find'] } })).blocked).toBe(true);
  });

  test('without the fast path only signs lead to the shell', () => {
    const config = { ...routerDefaults, fastpathShell: false };
    check('ls', 'agent', { config });
    check('!ls', 'shell', { config });
  });
});

describe('A10 limits', () => {
  test('a line beyond lineCharsMax is the shell’s', () => {
    expect(route(input(`find the bug ${'x'.repeat(lineCharsMax)}`)).rule).toBe('too-long');
  });

  test('words beyond wordsJudgedMax tell nothing', () => {
    const args = Array.from({ length: wordsJudgedMax }, (_, index) => `x${index}`).join(' ');
    expect(route(input(`ls ${args} the of and is what`)).features.language).toBe(0);
  });

  test('commands beyond commandsMax are not looked up', () => {
    let asked = 0;
    const isCommand = (): boolean => {
      asked += 1;
      return true;
    };
    route(input(Array.from({ length: 1000 }, (_, index) => `c${index}`).join('; '), { isCommand }));
    expect(asked).toBeLessThanOrEqual(commandsMax);
  });

  test('prefixes beyond prefixesMax end the search', () => check(`${'sudo '.repeat(prefixesMax + 5)}ls`, 'shell'));
  test('brackets beyond nestingMax are one piece', () => check(`echo ${'$('.repeat(nestingMax * 2)}`, 'shell'));
});

describe('properties', () => {
  const piece = fc.constantFrom(
    "'",
    '"',
    '`',
    '$(',
    '${',
    '(',
    ')',
    '{',
    '}',
    '|',
    '&&',
    ';',
    '<<',
    '<',
    '>',
    '\\',
    '\n',
    ' ',
    'the',
    'ls',
    'find',
    'if',
    'for',
    'in',
    'do',
    '!',
    '?',
    '*',
    '=',
    '#',
    '-x',
    "don't",
    'é',
    '😀',
    '\0',
  );
  test('any line has an answer, the same each time', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary', maxLength: 200 }),
          fc.array(piece, { maxLength: 60 }).map((parts) => parts.join('')),
        ),
        (line) => {
          const first = route(input(line));
          expect(['shell', 'agent']).toContain(first.route);
          expect(route(input(line))).toEqual(first);
        },
      ),
      { numRuns: 2000 },
    );
  });

  test.each([
    "'",
    '"',
    '`',
    '$(',
    '${',
    '(',
    '[',
    '{',
    '<<x ',
    'a=(',
    ' the',
    ' a,',
    '\\',
    "a'b ",
    '#',
    'sudo ',
    '\n',
    '; find the bug',
    '!',
  ])('64 KiB of %j is read once', (part) => {
    // Quadratic work over 64 KiB would be four thousand million steps: the runner's own time limit would end it.
    const decision = route(input(part.repeat(lineCharsMax / part.length)));
    expect(['shell', 'agent']).toContain(decision.route);
  });
});
