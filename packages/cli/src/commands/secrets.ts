/**
 * rlp secrets: values that agents use and never see. What goes in here does not come out again.
 */
import { failure, isJsonObject, type JsonObject, type JsonValue } from '@runloop/core';
import { readHidden } from '../ask-hidden.ts';
import { type Arguments, type Command, flag, text, type Tools } from '../command.ts';
import { time } from '../screen.ts';

export const commands: readonly Command[] = [
  {
    usage: 'secrets init',
    about: 'make the vault: asks for a passphrase, or makes a key file',
    options: { 'key-file': { type: 'boolean', about: 'a key file in the state directory in place of a passphrase' } },
    examples: [
      ['rlp secrets init', ''],
      ['rlp secrets init --key-file', 'for a daemon that nobody sits in front of'],
    ],
    run: init,
  },
  {
    usage: 'secrets unlock',
    about: 'open the vault until the daemon stops',
    examples: [['rlp secrets unlock', '']],
    run: async (_, tools) => {
      const passphrase = await readHidden(tools.environment, 'passphrase: ');
      if (passphrase === undefined) return brokenOff(tools);
      return call(tools, 'secrets.unlock', { passphrase }, () => 'the vault is open until the daemon stops');
    },
  },
  {
    usage: 'secrets put <id>',
    about: 'keep a value, for one use; reads standard input or asks',
    options: {
      for: { type: 'string', about: 'where it may go: https://host[:header], smtp://host:port, exec:/abs/bin' },
    },
    examples: [['rlp secrets put runloop/models/openai --for https://api.openai.com < key', '']],
    run: put,
  },
  {
    usage: 'secrets list',
    about: 'ids and what they are for; no values',
    examples: [['rlp secrets list', '']],
    run: list,
  },
  {
    usage: 'secrets delete <id>',
    about: 'forget a value',
    examples: [['rlp secrets delete runloop/models/openai', '']],
    run: (args, tools) =>
      call(tools, 'secrets.delete', { id: text(args, 'id') ?? '' }, ({ id }) => `${String(id)} is gone`),
  },
  {
    usage: 'secrets rotate <id>',
    about: 'another value under the same id, for the same use',
    examples: [['rlp secrets rotate runloop/models/openai < new-key', '']],
    run: async (args, tools) => {
      const value = await readHidden(tools.environment, 'new value: ');
      if (value === undefined) return brokenOff(tools);
      const id = text(args, 'id') ?? '';
      return call(tools, 'secrets.rotate', { id, value }, () => `${id} has a new value; the use is the same`);
    },
  },
];

async function init(args: Arguments, tools: Tools): Promise<number> {
  const made = ({ path, key_file: file }: JsonObject): string =>
    `${String(path)} is made${file === undefined ? '' : `; its key is ${String(file)}: keep a copy elsewhere`}`;
  if (flag(args, 'key-file')) return call(tools, 'secrets.init', {}, made);
  const passphrase = await readHidden(tools.environment, 'passphrase for the vault: ');
  if (passphrase === undefined) return brokenOff(tools);
  if (tools.environment.streams.in.isTTY === true) {
    const again = await readHidden(tools.environment, 'the same again: ');
    if (again !== passphrase) return tools.fail(failure('Usage', 'the two differ; nothing was made'));
  }
  return call(tools, 'secrets.init', { passphrase }, made);
}

async function put(args: Arguments, tools: Tools): Promise<number> {
  const use = text(args, 'for');
  const id = text(args, 'id') ?? '';
  if (use === undefined) {
    const hint = `rlp secrets put ${id} --for https://api.example.com`;
    return tools.fail(failure('Usage', '--for is needed: a value is kept for one use', { hint }));
  }
  const value = await readHidden(tools.environment, `value of ${id}: `);
  if (value === undefined) return brokenOff(tools);
  return call(tools, 'secrets.put', { id, for: use, value }, ({ backend }) => `${id} is kept (${String(backend)})`);
}

async function list(_: Arguments, tools: Tools): Promise<number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const found = await client.value.call('secrets.list', {});
  if (!found.ok) return tools.fail(found.error);
  const { secrets } = found.value as { readonly secrets: readonly JsonValue[] };
  const rows = secrets.filter(isJsonObject);
  if (tools.json) tools.screen.json(rows);
  else if (rows.length === 0)
    tools.screen.note('no secrets; put one: rlp secrets put runloop/models/openai --for https://…');
  else
    tools.screen.table(
      ['id', 'for', 'kept in', 'put'],
      rows.map(({ id, for: use, backend, put_ms: putMs }) => [
        String(id),
        String(use ?? 'anything'),
        String(backend),
        typeof putMs === 'number' ? time(putMs) : '',
      ]),
    );
  return 0;
}

function brokenOff(tools: Tools): number {
  return tools.fail(failure('Cancelled', 'nothing was done'));
}

async function call(tools: Tools, op: string, args: JsonObject, say: (value: JsonObject) => string): Promise<number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const done = await client.value.call(op, args);
  if (!done.ok) return tools.fail(done.error);
  if (tools.json) tools.screen.json(done.value);
  else tools.screen.line(say(done.value as JsonObject));
  return 0;
}
