/**
 * The tools that the model is offered, over host calls.
 *
 * 1. Nothing is judged here: what the model asks for goes to the kernel as it is, which grants, asks, refuses and records.
 * 2. A wrong argument, a refusal or a failure is a result that the model can read and act on, never the end of the run.
 */
import { type Host, HostError, type JsonObject, type JsonValue } from '@runloop/agent';
import { cut } from './conversation.ts';
import { linesDefault, readCharsMax, scannedBytesMax } from './limits.ts';
import { absolute, shown, words } from './paths.ts';

/** `what` names what was read, as a citation; without it there is nothing to cite. */
export type Result = { readonly text: string; readonly what?: string; readonly failed?: boolean };
export type Tool = {
  readonly description: string;
  readonly parameters: JsonObject;
  /** Nothing changes or leaves by it: it is offered in plan mode, and the same call twice is one. */
  readonly reads: boolean;
  /** In one line, for whoever looks on. */
  readonly target: (args: JsonObject) => string;
  readonly perform: (args: JsonObject, host: Host, folder: string) => Result;
};

class WrongArgument extends Error {}

const schema = (properties: JsonObject, ...required: readonly string[]): JsonObject => ({
  type: 'object',
  properties,
  required,
});
const string = (description: string): JsonObject => ({ type: 'string', description });
const integer = (description: string): JsonObject => ({ type: 'integer', description });

function text(args: JsonObject, name: string, otherwise?: string): string {
  const value = args[name] ?? otherwise;
  if (typeof value !== 'string' || (value === '' && otherwise !== ''))
    throw new WrongArgument(`"${name}" must be a text`);
  return value;
}

function count(args: JsonObject, name: string, otherwise: number): number {
  const value = args[name] ?? otherwise;
  const number = typeof value === 'string' ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isInteger(number) || number < 1)
    throw new WrongArgument(`"${name}" must be a whole number from 1`);
  return number;
}

const object = (value: JsonValue | undefined): JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
const list = (value: JsonValue | undefined): readonly JsonObject[] =>
  Array.isArray(value) ? (value as readonly JsonValue[]).map(object) : [];
const said = (value: JsonValue | undefined): string =>
  typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value);

/** What git needs besides what the model says, so that no program of the repository's choice is started. */
const gitOptions: { readonly [command: string]: readonly string[] } = {
  log: ['--no-ext-diff', '--no-textconv'],
  show: ['--no-ext-diff', '--no-textconv'],
  diff: ['--no-ext-diff', '--no-textconv', '--ignore-submodules=all'],
  status: ['--ignore-submodules=all'],
  blame: ['--no-textconv'],
  grep: ['--no-textconv'],
  branch: ['--list', '--no-color'],
  tag: ['--list'],
};

function commandOf(args: JsonObject, folder: string): { readonly command: string; readonly argv: readonly string[] } {
  const given = args['args'] ?? [];
  const isList = Array.isArray(given) && given.every((one) => typeof one === 'string');
  if (!isList && typeof given !== 'string') throw new WrongArgument('"args" must be a list of texts');
  const [command = '', ...first] = words(text(args, 'command'));
  const rest = [...first, ...(typeof given === 'string' ? words(given) : (given as readonly string[]))];
  if (rest[0] === command) rest.shift();
  const path = command.startsWith('/') ? command : `/usr/bin/${command}`;
  if (path === '/usr/bin/git') {
    const [name = '', ...more] = rest;
    const options = Object.hasOwn(gitOptions, name) ? (gitOptions[name] ?? []) : [];
    return { command: path, argv: ['-C', folder, name, ...options, ...more.filter((one) => !options.includes(one))] };
  }
  if (path !== '/usr/bin/grep') return { command: path, argv: rest };
  const options = rest.filter((one) => !/^-[rnIRH]+$/.test(one));
  const [pattern = '', ...where] = options.filter((one) => !one.startsWith('-'));
  const argv = [
    '-rnI',
    '--exclude-dir=.git',
    ...options.filter((one) => one.startsWith('-') && one !== '-e' && one !== '--'),
  ];
  const places = where.length === 0 ? ['.'] : where;
  return { command: path, argv: [...argv, '-e', pattern, '--', ...places.map((one) => absolute(folder, one))] };
}

function run(args: JsonObject, host: Host, folder: string): Result {
  const { command, argv } = commandOf(args, folder);
  const { exit_code: code, stdout, stderr, truncated } = object(host.exec.run({ command, argv }));
  const cut = truncated === true ? '\n(there is more: it was cut)' : '';
  const status = code === 0 ? '' : `exit code ${said(code)}\n`;
  const errors = said(stderr) === '' ? '' : `\nstderr: ${said(stderr)}`;
  const output = said(stdout).replaceAll(`${folder}/`, '');
  return { text: `${status}${output === '' ? '(no output)' : output}${cut}${errors}`, what: line(args) };
}

const line = (args: JsonObject): string =>
  [
    said(args['command']),
    ...(Array.isArray(args['args']) ? (args['args'] as readonly JsonValue[]) : [args['args']]).map(said),
  ]
    .join(' ')
    .trim();

/** Line by line there is no seeking: pages are read until the lines are there, and of them only those lines are kept. */
function readFile(args: JsonObject, host: Host, folder: string): Result {
  const path = absolute(folder, text(args, 'path'));
  const [from, most] = [count(args, 'from_line', 1), count(args, 'lines', linesDefault)];
  const lines: string[] = [];
  let [current, line, room, offset] = ['', 1, readCharsMax, 0];
  let [end, isMore] = [false, false];
  while (!end && line < from + most && room > 0 && offset < scannedBytesMax) {
    const page = object(host.fs.read({ path, offset }));
    if (typeof page['data'] !== 'string') throw new WrongArgument(`${path} is no text`);
    for (const [at, piece] of page['data'].split('\n').entries()) {
      if (at > 0) {
        if (line >= from && line < from + most) lines.push(current);
        line += 1;
        current = '';
      }
      isMore ||= line > from + most || (line === from + most && piece !== '');
      if (line < from || line >= from + most) continue;
      if (room === 0) break;
      current += cut(piece, room);
      room -= Math.min(room, piece.length + 1);
    }
    offset += Number(page['bytes']);
    end = page['end'] === true || page['bytes'] === 0;
  }
  if (line >= from && line < from + most && current !== '') lines.push(current);
  const last = from + Math.max(lines.length, 1) - 1;
  const what = `${shown(folder, path)}:${from}-${last}`;
  if (room === 0) return { text: `${lines.join('\n')}\n(there is more: it was cut in line ${last})`, what };
  if (lines.length === 0 && !end)
    throw new WrongArgument(`line ${from} lies behind the first ${offset} bytes of ${shown(folder, path)}: use grep`);
  if (lines.length === 0 && line > 1) throw new WrongArgument(`${shown(folder, path)} has ${line - 1} lines`);
  const more = isMore || !end ? `\n(there is more: read on from line ${last + 1})` : '';
  return { text: `${lines.join('\n')}${more}`, what };
}

function listFiles(args: JsonObject, host: Host, folder: string): Result {
  const path = absolute(folder, text(args, 'path', '.'));
  const { entries, more } = object(host.fs.list({ path }));
  const names = list(entries).map(({ name, type }) => `${said(name)}${type === 'directory' ? '/' : ''}`);
  const rest = more === true ? '\n(there are more)' : '';
  return { text: names.length === 0 ? '(empty)' : `${names.join('\n')}${rest}`, what: `${shown(folder, path)}/` };
}

/** Domains that policy.caps names; a list of them covers only calls that name their kinds. */
const kinds = ['contact', 'note', 'fact', 'edge', 'artifact'];

function searchKnowledge(args: JsonObject, host: Host): Result {
  const asked = text(args, 'text');
  const hits = list(object(host.kb.search({ text: asked, kinds, max: 10 }))['hits']);
  const lines = hits.map(
    ({ entity, excerpt, source_events: events }) => `${said(entity)} (events ${said(events)}): ${said(excerpt)}`,
  );
  const events = [...new Set(hits.flatMap(({ source_events: ids }) => (Array.isArray(ids) ? ids : [])))];
  const cited = events.length === 0 ? '' : `, events ${events.slice(0, 10).join(', ')}`;
  return {
    text: lines.length === 0 ? '(nothing is known)' : lines.join('\n'),
    what: `knowledge base: ${asked}${cited}`,
  };
}

function explain(args: JsonObject, host: Host): Result {
  const entity = text(args, 'entity');
  const steps = list(object(host.kb.why({ entity }))['steps']);
  const lines = steps.map(
    ({ id, kind, summary, actor }) => `event ${said(id)} ${said(kind)} by ${said(actor)}: ${said(summary)}`,
  );
  return {
    text: lines.length === 0 ? '(nothing is known of it)' : lines.join('\n'),
    what: `knowledge base: why ${entity}`,
  };
}

function request(args: JsonObject, host: Host): Result {
  const url = text(args, 'url');
  const method = text(args, 'method', 'GET').toUpperCase();
  const { body } = args;
  const answer = object(
    host.http.fetch({
      url,
      method,
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    }),
  );
  const page = typeof answer['body'] === 'string' ? answer['body'] : '(no text)';
  return { text: `status ${said(answer['status'])}\n${page}`, what: said(answer['url'] ?? url) };
}

function writeFile(args: JsonObject, host: Host, folder: string): Result {
  const path = absolute(folder, text(args, 'path'));
  const { bytes } = object(host.fs.write({ path, mode: 'replace', data: text(args, 'content', '') }));
  return { text: `written: ${said(bytes)} bytes to ${shown(folder, path)}` };
}

const path = string('relative to the folder');
export const tools: { readonly [name: string]: Tool } = {
  list_files: {
    description: 'Lists the names in a directory.',
    parameters: schema({ path }),
    reads: true,
    target: (args) => said(args['path'] ?? '.'),
    perform: listFiles,
  },
  read_file: {
    description: 'Reads lines of a text file.',
    parameters: schema(
      { path, from_line: integer('1 if left out'), lines: integer(`${linesDefault} if left out`) },
      'path',
    ),
    reads: true,
    target: (args) => said(args['path']),
    perform: readFile,
  },
  run: {
    description:
      'Runs a command that only reads, in the folder: git (log, show, diff, status, shortlog, blame, ls-files, grep, rev-list, branch, tag, config --get user.name), or grep (recursive: pattern, then paths). No shell: no pipes.',
    parameters: schema(
      { command: { type: 'string', enum: ['git', 'grep'] }, args: { type: 'array', items: { type: 'string' } } },
      'command',
      'args',
    ),
    reads: true,
    target: line,
    perform: run,
  },
  search_knowledge: {
    description: 'Searches the knowledge base of this machine: contacts, notes, facts, artifacts of earlier runs.',
    parameters: schema({ text: string('words to look for') }, 'text'),
    reads: true,
    target: (args) => said(args['text']),
    perform: searchKnowledge,
  },
  explain_knowledge: {
    description: 'Why the knowledge base says what it says of an entity, such as contact:john.',
    parameters: schema({ entity: string('as search_knowledge names it') }, 'entity'),
    reads: true,
    target: (args) => said(args['entity']),
    perform: explain,
  },
  http: {
    description: 'Fetches a page over HTTPS. Other methods than GET are asked about first.',
    parameters: schema(
      { url: string('https://…'), method: string('GET if left out'), body: string('of other methods') },
      'url',
    ),
    reads: false,
    target: (args) => `${said(args['method'] ?? 'GET')} ${said(args['url'])}`,
    perform: request,
  },
  write_file: {
    description: 'Writes a whole file. The user is asked first.',
    parameters: schema({ path, content: string('all of the file') }, 'path', 'content'),
    reads: false,
    target: (args) => said(args['path']),
    perform: writeFile,
  },
};

/** One call, whatever the model made of it. */
export function perform(host: Host, folder: string, tool: Tool, args: JsonObject): Result {
  try {
    return tool.perform(args, host, folder);
  } catch (error) {
    if (error instanceof WrongArgument) return { text: `wrong arguments: ${error.message}`, failed: true };
    if (!(error instanceof HostError)) throw error;
    return { text: `${failures[error.code] ?? 'it failed'}: ${error.message}`, failed: true };
  }
}

const failures: { readonly [code: string]: string } = {
  CapabilityDenied: 'refused, and will be again: this is not granted to you; go on without it and say so',
  ApprovalDenied: 'the user said no: do not ask again',
  LimitExceeded: 'a limit was reached',
};
