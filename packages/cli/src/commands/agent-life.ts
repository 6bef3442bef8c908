/**
 * rlp agent keygen, sign, pack, install, remove, rollback: how an agent gets from its author to a host, and away.
 */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { type Failure, failure, isJsonObject, isName, type JsonObject, type Result, showLine } from '@runloop/core';
import { canAsk, throwAwayTyped } from '../ask-approval.ts';
import { type Arguments, type Command, flag, text, type Tools } from '../command.ts';

/** An install looks at every byte and prepares the component. */
export const installMsMax = 180_000;

export const commands: readonly Command[] = [
  {
    usage: 'agent keygen',
    about: 'make a signing key: the file to keep to yourself, and <file>.pub to give away',
    options: { out: { type: 'string', about: 'the file (default: ./agent-signing.key)' } },
    examples: [['rlp agent keygen --out acme.key', 'then: rlp agent sign ./my_agent --key acme.key']],
    run: keygen,
  },
  {
    usage: 'agent sign <dir>',
    about: 'list the files of a built bundle and sign the list',
    options: { key: { type: 'string', about: 'the signing key' } },
    examples: [['rlp agent sign ./my_agent --key acme.key', 'instead of the key of this host']],
    run: sign,
  },
  {
    usage: 'agent pack <bundle>',
    about: 'put a signed bundle into one file, <name>-<version>.tgz; the same bundle gives the same bytes',
    options: { out: { type: 'string', alias: 'o', about: 'the file' } },
    examples: [
      ['rlp agent pack ./my_agent', 'a folder'],
      ['rlp agent pack mailer -o mailer.tgz', 'an agent of this host'],
    ],
    run: pack,
  },
  {
    usage: 'agent install <source>',
    about: 'install a bundle: an archive, or a folder that holds one',
    options: {
      yes: { type: 'boolean', about: 'accept an upgrade that asks for more' },
      'non-interactive': { type: 'boolean', about: 'never ask: refuse what would be asked about' },
    },
    examples: [
      ['rlp agent install my_agent-1.0.0.tgz', ''],
      ['rlp agent install ./my_agent --non-interactive', 'in a script'],
    ],
    run: install,
  },
  {
    usage: 'agent remove <name>',
    about: 'remove an installed agent with all its versions; its name is free again',
    examples: [['rlp agent remove my_agent', 'runs that began with it go on']],
    run: (args, tools) => change(tools, 'agent.remove', { name: text(args, 'name') ?? '' }, () => 'removed'),
  },
  {
    usage: 'agent release <name>',
    about: 'let an agent run again that was held back, for its sandbox failed again and again',
    examples: [['rlp agent release my_agent', 'it is held back for 60 s at first, an hour at most']],
    run: (args, tools) => change(tools, 'agent.release', { name: text(args, 'name') ?? '' }, () => 'released'),
  },
  {
    usage: 'agent rollback <name> [version]',
    about: 'put the version before in force, or the one that is named',
    examples: [
      ['rlp agent rollback my_agent', ''],
      ['rlp agent rollback my_agent 1.2.0', ''],
    ],
    run: rollback,
  },
];

async function keygen(args: Arguments, tools: Tools): Promise<number> {
  const { makeKeyPair } = await import('@runloop/daemon');
  const made = await makeKeyPair(resolve(tools.environment.cwd, text(args, 'out') ?? 'agent-signing.key'));
  return print(tools, made, ({ key, path, public_path }) => [
    `key        ${key}`,
    `kept in    ${path}  (keep it to yourself)`,
    `give away  ${public_path}`,
    `others then say: rlp trust add <name> ${key}`,
  ]);
}

async function sign(args: Arguments, tools: Tools): Promise<number> {
  const key = text(args, 'key');
  if (key === undefined)
    return tools.fail(
      failure('Usage', '--key is missing', { hint: 'rlp agent sign <dir> --key <file>; make one: rlp agent keygen' }),
    );
  const { signFolder } = await import('@runloop/daemon');
  const { cwd } = tools.environment;
  const signed = await signFolder(resolve(cwd, text(args, 'dir') ?? ''), resolve(cwd, key));
  return print(tools, signed, ({ digest, key: id }) => [`signed by ${id}`, `bundle ${digest}`]);
}

async function pack(args: Arguments, tools: Tools): Promise<number> {
  const { packFolder } = await import('@runloop/daemon');
  const { cwd } = tools.environment;
  const dir = await folderOf(text(args, 'bundle') ?? '', tools);
  if (!dir.ok) return tools.fail(dir.error);
  const out = text(args, 'out');
  const packed = await packFolder(dir.value, out === undefined ? undefined : resolve(cwd, out));
  return print(tools, packed, ({ path, bytes, digest }) => [`${path}  ${bytes} bytes`, `bundle ${digest}`]);
}

/** A folder that is there, or the one of the agent of this name. */
export async function folderOf(given: string, tools: Tools): Promise<Result<string, Failure>> {
  const path = resolve(tools.environment.cwd, given);
  if (!isName(given) || existsSync(join(path, 'manifest.toml'))) return { ok: true, value: path };
  const client = await tools.connect();
  if (!client.ok) return client;
  const found = await client.value.call('agent.show', { name: given }, { timeoutMs: installMsMax });
  return found.ok ? { ok: true, value: String((found.value as JsonObject)['dir']) } : found;
}

async function install(args: Arguments, tools: Tools): Promise<number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const source = resolve(tools.environment.cwd, text(args, 'source') ?? '');
  const ask = (more: JsonObject): Promise<Result<unknown, Failure>> =>
    client.value.call('agent.install', { source, ...more }, { timeoutMs: installMsMax });
  let done = await ask({});
  if (!done.ok && done.error.code === 'ApprovalRequired') {
    const { details = {} } = done.error;
    if (flag(args, 'yes') || (!flag(args, 'non-interactive') && (await accepts(tools, details)))) {
      // What was shown is what is accepted: another bundle in its place has another digest.
      done = await ask({ accept: String(details['digest']) });
    }
  }
  return print(tools, done as Result<JsonObject, Failure>, (value) => [installed(value)]);
}

function installed(value: JsonObject): string {
  const { name, version, digest, signer, trusted, replaced, changed } = value;
  const how = changed === true ? 'installed' : 'is installed already';
  const over = typeof replaced === 'string' ? `, instead of ${showLine(replaced)}` : '';
  const by = `signed by ${showLine(String(signer))}${trusted === true ? '' : ', not trusted: it runs confined'}`;
  return `${showLine(String(name))} ${showLine(String(version))} ${how}${over}; ${by}; ${String(digest).slice(0, 12)}`;
}

/** Shows what the upgrade asks for, and waits for the whole word. */
async function accepts(tools: Tools, details: { readonly [key: string]: unknown }): Promise<boolean> {
  const { screen, environment } = tools;
  if (!canAsk(environment)) return false;
  const more = Array.isArray(details['more']) ? details['more'].map(String) : [];
  screen.note(
    `${showLine(String(details['name']))} ${showLine(String(details['version']))} asks for more than ${showLine(String(details['from']))}:`,
  );
  for (const line of more) screen.note(`  + ${showLine(line)}`);
  await throwAwayTyped(environment);
  const lines = createInterface({ input: environment.streams.in, output: environment.streams.err });
  try {
    return (await lines.question('type yes to install it: ', { signal: environment.interrupted })).trim() === 'yes';
  } catch {
    return false;
  } finally {
    lines.close();
  }
}

async function rollback(args: Arguments, tools: Tools): Promise<number> {
  const version = text(args, 'version');
  const asked = { name: text(args, 'name') ?? '', ...(version === undefined ? {} : { version }) };
  return change(tools, 'agent.rollback', asked, installed);
}

async function change(tools: Tools, op: string, args: JsonObject, say: (value: JsonObject) => string): Promise<number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const done = await client.value.call(op, args, { timeoutMs: installMsMax });
  return print(tools, done, (value) => [say(isJsonObject(value) ? value : {})]);
}

function print<T>(tools: Tools, result: Result<T, Failure>, say: (value: T) => readonly string[]): number {
  if (!result.ok) return tools.fail(result.error);
  if (tools.json) tools.screen.json(result.value);
  else for (const line of say(result.value)) tools.screen.line(line);
  return 0;
}
