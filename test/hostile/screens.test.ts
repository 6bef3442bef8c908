/** Text that an agent, a file or a sender chose reaches a terminal without its control characters, in every command. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { unwrap } from '@runloop/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Arena } from './arena.ts';

/** Clears the screen, sets the title, the same in C1, goes back to the line's start, turns text round, hides it. */
const evil = 'evil \u001b[2J\u001b]0;owned\u0007\u009b2J\rover\u0008\u007f\u202etxt\u200b\u2066';
let arena: Arena;
let trace: string;
let action: string;
let file: string;

beforeAll(async () => {
  arena = await Arena.open(
    'mail = { from = "me@example.com", to = ["*@example.com"] }\nkb_write = true\nkb_read = true\n',
  );
  const dir = join(arena.home.path, 'files');
  mkdirSync(dir);
  file = join(dir, `${evil.replaceAll('/', '')}.yaml`);
  const tries = [
    { try: 'say', args: { text: evil } },
    { op: 'kb.propose', args: { kind: 'note.added', payload: { text: evil, title: evil } } },
    { op: 'kb.search', args: { text: evil, max: 1 } },
    { op: 'mail.send', args: { to: ['a@example.com'], subject: evil, body: evil } },
    { try: 'fail', args: { text: evil } },
  ];
  const node = { id: 'n', use: 'agent:hostile', with: { tries } };
  writeFileSync(file, JSON.stringify({ version: 0, name: 'evil', goals: [evil], nodes: [node] }));
  const contact = { contact: 'contact:evil', name: evil, email: 'evil@example.com', confidence: 1, trust: 'low' };
  const proposed = await arena.home.rlp(
    'kb',
    'propose',
    '--kind',
    'contact.upserted',
    '--payload',
    JSON.stringify(contact),
  );
  expect(proposed.code, proposed.err).toBe(0);
  const detached = await arena.home.rlp('run', file, '--detach');
  trace = detached.out.trim();
  expect(trace, detached.err).toMatch(/^[0-9a-f]{32}$/);
  for await (const event of arena.client.follow(trace as never))
    if (event.kind === 'action.requested') {
      action = String(event.meta['action']);
      break;
    }
});
afterAll(() => arena[Symbol.asyncDispose]());

/** Colours are rlp's own; nothing else of what is below a space may come out. */
// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const raw = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069]/;
// oxlint-disable-next-line no-control-regex -- rlp's own colours
const colours = /\u001b\[\d+(?:;\d+)*m/g;

async function shows(...args: string[]): Promise<string> {
  const { out, err } = await arena.home.rlpWith({ env: { FORCE_COLOR: '1', NO_COLOR: '' } }, ...args);
  const text = (out + err).replaceAll(colours, '');
  const found = raw.exec(text);
  expect(
    found === null ? '' : JSON.stringify(text.slice(Math.max(0, found.index - 80), found.index + 40)),
    args.join(' '),
  ).toBe('');
  return text;
}

test('while it waits: the queue, the question, the run', async () => {
  expect(await shows('approve')).toContain('mail.send');
  expect(await shows('approve', 'show', action)).toContain('evil');
  for (const args of [['runs'], ['show', trace], ['plan', file], ['kb', 'search', 'evil'], ['agent', 'list']])
    await shows(...args);
  expect(await shows('kb', 'query', "select name from contacts where name like 'evil%'")).toContain('evil');
});

test('when it has failed: its reason, its lines, its lineage', async () => {
  unwrap(await arena.client.call('action.list', {}), 'the queue');
  expect(await arena.home.rlp('approve', 'no', action)).toMatchObject({ code: 0 });
  expect(await shows('attach', trace)).toContain('evil');
  for (const args of [
    ['show', trace],
    ['runs'],
    ['logs', trace],
    ['kb', 'why', 'contact:evil'],
    ['bill', trace],
    ['artifacts'],
    ['replay', trace],
    ['bus', 'topics'],
    ['run', join(file, 'nothing')],
    ['run', evil],
    ['agent', 'show', evil],
    ['agent', 'install', file],
    ['caps', 'lint', file],
    [evil],
  ])
    await shows(...args);
});
