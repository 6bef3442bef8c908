/**
 * From words to a command: finds it, reads its options, runs it, turns what it answers into an exit code.
 */
import { errorTable, failure, type Failure, nearest, type Resolved, type Result } from '@runloop/core';
import type { Arguments, Command, OptionSpec, Tools } from './command.ts';
import { connectDaemon } from './daemon-client.ts';
import { type Environment, readConfig, readEnvironment } from './environment.ts';
import { Screen } from './screen.ts';
import { findEntry, table } from './table.ts';
import { version } from './version.ts';

export async function dispatch(argv: readonly string[]): Promise<number> {
  const environment = readEnvironment();
  const screen = new Screen(environment);
  if (argv.length === 0 || argv[0] === 'help' || argv[0] === '--help' || argv[0] === '-h') return overview(screen);
  const entry = findEntry(argv);
  if (entry === undefined) return unknown(argv, environment, screen);
  const words = entry.words.split(' ');
  const { commands } = await entry.load();
  const command = commands.find((candidate) => candidate.usage.split(/ [<[]/)[0] === entry.words);
  if (command === undefined) throw new Error(`no command for ${entry.words}`);
  const parsed = await parse(command, entry.words, argv.slice(words.length), screen);
  if (typeof parsed === 'number') return parsed;
  return await runCommand(command, parsed, environment, screen);
}

async function runCommand(
  command: Command,
  args: Arguments,
  environment: Environment,
  screen: Screen,
): Promise<number> {
  const json = args['json'] === true;
  let config: Promise<Result<Resolved, Failure>> | undefined;
  const readOnce = (): Promise<Result<Resolved, Failure>> =>
    (config ??= readConfig(environment).then((read) => {
      if (read.ok) for (const warning of read.value.warnings) screen.note(`rlp: warning: ${warning}`);
      return read;
    }));
  await using opened = new AsyncDisposableStack();
  const tools: Tools = {
    environment,
    screen,
    json,
    config: readOnce,
    async connect({ start = true } = {}) {
      const read = await readOnce();
      if (!read.ok) return read;
      const client = await connectDaemon(environment, read.value.config, {
        start,
        note: (text) => screen.note(`rlp: ${text}`),
      });
      if (client.ok) opened.use(client.value);
      return client;
    },
    fail(problem) {
      if (json) screen.json({ error: problem });
      screen.failure(problem);
      return errorTable[problem.code].exit;
    },
  };
  return await command.run(args, tools);
}

async function parse(
  command: Command,
  words: string,
  argv: readonly string[],
  screen: Screen,
): Promise<Arguments | number> {
  const { default: yargs } = await import('yargs');
  const positional = command.usage.slice(words.length).trim();
  const options: { readonly [name: string]: OptionSpec } = {
    ...command.options,
    json: { type: 'boolean', about: 'print JSON for programs' },
  };
  let asked = false;
  let problem: string | undefined;
  const parser = yargs([...argv])
    .scriptName(`rlp ${words}`)
    .usage(`rlp ${command.usage}\n\n${capital(command.about)}.`)
    .command(`$0 ${positional}`.trim(), false)
    .options(
      Object.fromEntries(
        Object.entries(options).map(([name, spec]) => [
          name,
          {
            type: spec.type,
            describe: spec.about,
            ...(spec.alias === undefined ? {} : { alias: spec.alias }),
            ...(spec.choices === undefined ? {} : { choices: [...spec.choices] }),
            ...(spec.default === undefined ? {} : { default: spec.default }),
            ...(spec.type === 'array' ? { string: true, requiresArg: true, nargs: 1 } : {}),
            ...(spec.type === 'string' || spec.type === 'number' ? { requiresArg: true } : {}),
          },
        ]),
      ),
    )
    .version(false)
    .help('help')
    .alias('h', 'help')
    .strict()
    .exitProcess(false)
    .wrap(Math.min(100, screen.width))
    .parserConfiguration({ 'camel-case-expansion': false, 'parse-positional-numbers': false, 'populate--': true })
    .fail((message, error) => {
      problem ??= message ?? (error instanceof Error ? error.message : String(error));
    })
    .showHelpOnFail(false);
  for (const [example, about] of command.examples) parser.example(example, about);
  const parsed = await parser.parse([...argv], (_error: unknown, _argv: unknown, output: string) => {
    if (output !== '' && problem === undefined) {
      asked = true;
      screen.line(output);
    }
  });
  const unreadable = Object.keys(options).find(
    (name) => options[name]?.type === 'number' && parsed[name] !== undefined && !Number.isFinite(parsed[name]),
  );
  if (unreadable !== undefined) problem ??= `--${unreadable} must be one number`;
  if (problem !== undefined) {
    screen.failure(
      failure('Usage', inOurWords(firstOf(problem), command, words), {
        hint: `usage: rlp ${command.usage}; more: rlp ${words} --help`,
      }),
    );
    return errorTable.Usage.exit;
  }
  return asked ? 0 : parsed;
}

/** The parser counts what is missing; whoever typed it wants to know what. */
function inOurWords(problem: string, { usage }: Command, words: string): string {
  const missing = /^Not enough non-option arguments: got (\d+)/.exec(problem);
  if (missing === null) return problem;
  const needed = usage.match(/<[^>]+>/g) ?? [];
  return `rlp ${words} needs ${needed.slice(Number(missing[1])).join(' ')}`;
}

/** Its first sentence, with the list that some begin. */
function firstOf(problem: string): string {
  const [first = problem, ...rest] = problem.split('\n').map((line) => line.trim());
  return first.endsWith(':') ? `${first} ${rest.join(' ').trim()}` : first;
}

function overview(screen: Screen): number {
  screen.line(`rlp ${version}: agents on your machine, and what they may do, cost and did`);
  screen.line();
  for (const title of new Set(table.map((entry) => entry.group))) {
    const words = [...new Set(table.filter((entry) => entry.group === title).map((entry) => entry.words))];
    const firsts = [...new Set(words.map((word) => word.split(' ')[0] ?? ''))];
    const short = firsts.map((first) => {
      const seconds = words.filter((word) => word.startsWith(`${first} `)).map((word) => word.slice(first.length + 1));
      return seconds.length === 0 ? first : `${first} ${screen.paint('dim', seconds.join('|'))}`;
    });
    screen.wrapped(
      `  ${title.padEnd(12)} `,
      short.map((text, index) => (index === short.length - 1 ? text : `${text},`)),
      15,
    );
  }
  screen.line();
  screen.line('start here: rlp run hello     about one of them: rlp <command> --help');
  screen.line('a sentence in quotes is routed to the shell or to the agents: rlp "…"');
  return 0;
}

/** A word that begins commands: each of them with its line, for who asked to standard output. */
function oneMoreWord(group: typeof table, [first = '', ...rest]: readonly string[], screen: Screen): number {
  const isAsked = rest.some((word) => word === '--help' || word === '-h');
  if (!isAsked) {
    const second = rest.find((word) => !word.startsWith('-'));
    const known = group.map(({ words }) => words.slice(first.length + 1));
    const near = second === undefined ? undefined : nearest(second, known);
    const hint = near === undefined ? {} : { hint: `did you mean: rlp ${first} ${near}?` };
    const what = second === undefined ? 'needs one more word' : `has no command "${second}"`;
    screen.failure(failure('Usage', `rlp ${first} ${what}`, hint));
  }
  const width = Math.max(...group.map(({ words }) => words.length));
  for (const { words, about } of group) {
    const line = `  rlp ${words.padEnd(width)}  ${about}`;
    if (isAsked) screen.line(line);
    else screen.note(line);
  }
  return isAsked ? 0 : errorTable.Usage.exit;
}

/** A word that is no command: a misspelt one is answered with the nearest, a prompt is routed. */
async function unknown(argv: readonly string[], environment: Environment, screen: Screen): Promise<number> {
  const [first = ''] = argv;
  const isPrompt = argv.length === 1 && /\s/.test(first);
  if (isPrompt) {
    const { prompt } = await import('./prompt.ts');
    return prompt(first, environment, screen, dispatch);
  }
  const group = table.filter((entry) => entry.words.startsWith(`${first} `));
  if (group.length > 0) return oneMoreWord(group, argv, screen);
  const near =
    nearest(
      argv.slice(0, 2).join(' '),
      table.map((entry) => entry.words),
    ) ??
    nearest(
      first,
      table.map((entry) => entry.words),
    );
  screen.failure(
    failure('Usage', `there is no command "${argv.slice(0, 2).join(' ')}"`, {
      hint: near === undefined ? 'all commands: rlp help' : `did you mean: rlp ${near}?`,
    }),
  );
  return errorTable.Usage.exit;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
