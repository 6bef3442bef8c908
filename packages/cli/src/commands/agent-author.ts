/**
 * rlp agent scaffold: how an agent begins.
 */
import { join, resolve } from 'node:path';
import { failure } from '@runloop/core';
import { canAsk } from '../ask-approval.ts';
import { type Arguments, type Command, flag, text, texts, type Tools } from '../command.ts';
import { filesOf } from '../scaffold/files.ts';
import { placeFiles } from '../scaffold/place.ts';
import { checkWish, fsGrant, languages, listed, type Wish } from '../scaffold/wish.ts';

export const commands: readonly Command[] = [
  {
    usage: 'agent scaffold [name]',
    about: 'make a new agent that builds and runs; on a terminal it asks',
    options: {
      lang: { type: 'string', about: 'its language (ts)', choices: languages },
      dir: { type: 'string', about: 'the folder to make <name>/ in (default: here)' },
      opening: { type: 'boolean', about: 'also <name>.yaml, which runs it' },
      model: { type: 'boolean', about: 'it calls a model' },
      'cap-fs': { type: 'array', about: 'a folder that it may read; <dir>:rw to write too' },
      'cap-net': { type: 'array', about: 'a host that it may reach' },
      'cap-kb-read': { type: 'array', about: 'a domain of the knowledge base to read' },
      'cap-kb-write': { type: 'array', about: 'a domain of the knowledge base to write' },
      force: { type: 'boolean', about: 'move what lies there to <name>.old' },
      'non-interactive': { type: 'boolean', about: 'ask nothing' },
    },
    examples: [
      ['rlp agent scaffold note_taker --opening --non-interactive', 'then: rlp agent build note_taker'],
      ['rlp agent scaffold tidy --lang rust --cap-fs ~/inbox:rw', ''],
    ],
    run: scaffold,
  },
];

async function scaffold(args: Arguments, tools: Tools): Promise<number> {
  const { environment, screen } = tools;
  const { cwd } = environment;
  const given: Wish = {
    name: text(args, 'name') ?? '',
    language: languages.find((one) => one === text(args, 'lang')) ?? 'ts',
    opening: flag(args, 'opening'),
    model: flag(args, 'model'),
    fs: texts(args, 'cap-fs').map((one) => fsGrant(one, cwd)),
    net: listed(texts(args, 'cap-net')),
    kbRead: listed(texts(args, 'cap-kb-read')),
    kbWrite: listed(texts(args, 'cap-kb-write')),
  };
  const asks = canAsk(environment) && !flag(args, 'non-interactive') && !tools.json;
  if (given.name === '' && !asks)
    return tools.fail(failure('Usage', 'the name is missing', { hint: 'rlp agent scaffold <name>' }));
  const asked = asks
    ? await (await import('../scaffold/wizard.ts')).askWish(tools, given, (name) => args[name] !== undefined)
    : given;
  if (asked === undefined) return 130;
  const wish = checkWish(asked);
  if (!wish.ok) return tools.fail(wish.error);
  const files = filesOf(wish.value);
  const { lintCaps } = await import('@runloop/daemon');
  const wrong = lintCaps(files['policy.caps'] ?? '').find(({ severity }) => severity === 'error');
  if (wrong !== undefined) return tools.fail(failure('Usage', `that cannot be asked for: ${wrong.message}`));
  const { name } = wish.value;
  const dir = join(resolve(cwd, text(args, 'dir') ?? '.'), name);
  const placed = await placeFiles(dir, files, flag(args, 'force'));
  if (!placed.ok) return tools.fail(placed.error);
  const { moved } = placed.value;
  if (tools.json) {
    screen.json({ name, dir, files: Object.keys(files), ...placed.value });
    return 0;
  }
  if (moved !== undefined) screen.note(`what was there lies in ${moved}`);
  screen.line(dir);
  for (const path of Object.keys(files)) screen.line(`  ${path}`);
  const folder = text(args, 'dir') === undefined ? name : dir;
  screen.line(
    `next: rlp agent build ${folder}${wish.value.opening ? `, then: rlp run ${join(folder, `${name}.yaml`)}` : ''}`,
  );
  return 0;
}
