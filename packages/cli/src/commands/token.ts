/**
 * rlp token: narrower tokens for clients, and the operator's own.
 */
import { failure, type JsonObject } from '@runloop/core';
import { systemClock } from '@runloop/core';
import { type Arguments, type Command, text, texts, type Tools } from '../command.ts';
import { time } from '../screen.ts';

export const commands: readonly Command[] = [
  {
    usage: 'token issue',
    about: 'make a narrower token; it is shown once',
    options: {
      name: { type: 'string', about: 'what to call it' },
      can: { type: 'string', about: 'grants, comma separated: run.submit,run.read,kb.read' },
      expires: { type: 'string', about: 'such as 12h or 30d' },
    },
    examples: [['rlp token issue --name editor --can run.submit,run.read --expires 30d', '']],
    run: issue,
  },
  { usage: 'token list', about: 'tokens that are good', examples: [['rlp token list', '']], run: list },
  {
    usage: 'token revoke <name>',
    about: 'end a token, also for sessions that are open',
    examples: [['rlp token revoke editor', '']],
    run: (args, tools) => call(tools, 'token.revoke', { name: text(args, 'name') ?? '' }, () => 'revoked'),
  },
  {
    usage: 'token rotate',
    about: 'replace the operator token; sessions of the old one end',
    examples: [['rlp token rotate', '']],
    run: (_, tools) => call(tools, 'token.rotate', {}, (value) => `a new token stands in ${String(value['path'])}`),
  },
];

async function issue(args: Arguments, tools: Tools): Promise<number> {
  const name = text(args, 'name');
  const can = texts(args, 'can')
    .flatMap((list) => list.split(','))
    .map((grant) => grant.trim())
    .filter((grant) => grant !== '');
  if (name === undefined || can.length === 0)
    return tools.fail(
      failure('Usage', '--name and --can are needed', {
        hint: 'rlp token issue --name editor --can run.submit,run.read',
      }),
    );
  const expires = text(args, 'expires');
  const ms = expires === undefined ? undefined : parseDuration(expires);
  if (expires !== undefined && ms === undefined)
    return tools.fail(failure('Usage', `--expires takes a number and m, h or d, this is "${expires}"`));
  return call(
    tools,
    'token.issue',
    { name, can, ...(ms === undefined ? {} : { expires_ms: systemClock.nowMs() + ms }) },
    (value) => String(value['token']),
  );
}

async function list(_args: Arguments, tools: Tools): Promise<number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const found = await client.value.call('token.list', {});
  if (!found.ok) return tools.fail(found.error);
  const { tokens } = found.value as unknown as {
    tokens: readonly { name: string; grants: readonly string[]; issued_ms: number; expires_ms?: number }[];
  };
  if (tools.json) tools.screen.json(tokens);
  else if (tokens.length === 0) tools.screen.note('no client tokens; make one: rlp token issue');
  else
    tools.screen.table(
      ['name', 'can', 'issued', 'until'],
      tokens.map((token) => [
        token.name,
        token.grants.join(','),
        time(token.issued_ms),
        token.expires_ms === undefined ? 'revoked' : time(token.expires_ms),
      ]),
    );
  return 0;
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

function parseDuration(words: string): number | undefined {
  const match = /^(\d{1,6})([mhd])$/.exec(words);
  if (match === null) return undefined;
  const unit = { m: 60_000, h: 3_600_000, d: 86_400_000 }[match[2] as 'm' | 'h' | 'd'];
  return Number(match[1]) * unit;
}
