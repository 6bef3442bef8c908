/**
 * rlp trust: who may sign agents, what each signer may be granted, what is revoked. Needs no daemon; one that runs sees
 * the new policy by itself.
 */
import { join } from 'node:path';
import { failure } from '@runloop/core';
import { type Arguments, type Command, flag, text, type Tools } from '../command.ts';

export const commands: readonly Command[] = [
  {
    usage: 'trust list',
    about: 'signers whose agents may be installed, and what is revoked',
    examples: [['rlp trust list', '']],
    run: list,
  },
  {
    usage: 'trust show <name>',
    about: 'one signer, and what it may be granted',
    examples: [['rlp trust show acme', '']],
    run: show,
  },
  {
    usage: 'trust add <name> <key>',
    about: 'let a signer in; its agents run confined unless it is trusted',
    options: { trusted: { type: 'boolean', about: "treat its agents like this host's own" } },
    examples: [
      ['rlp trust add acme acme.key.pub', 'a file, or the 64 hex digits'],
      ['rlp trust add acme acme.key.pub --trusted', 'also to change that later'],
    ],
    run: add,
  },
  {
    usage: 'trust remove <name>',
    about: 'let a signer out: its agents are started no more',
    examples: [['rlp trust remove acme', '']],
    run: remove,
  },
  {
    usage: 'trust revoke <what>',
    about: 'never again: a signer by name or key, or one bundle by its digest; what runs is stopped',
    examples: [
      ['rlp trust revoke acme', ''],
      ['rlp trust revoke 4f1c…', 'the digest of: rlp agent show <name>'],
    ],
    run: revoke,
  },
];

async function list(_args: Arguments, tools: Tools): Promise<number> {
  const { readTrustPolicy } = await import('@runloop/daemon');
  const read = await readTrustPolicy(tools.environment.root);
  if (!read.ok) return tools.fail(read.error);
  const { anchors, revokedKeys, revokedBundles } = read.value;
  const { screen } = tools;
  if (tools.json) {
    const rows = anchors.map(({ name, key, trusted, caps }) => ({ name, key, trusted, caps: caps?.given ?? null }));
    screen.json({ anchors: rows, revoked_keys: revokedKeys, revoked_bundles: revokedBundles });
    return 0;
  }
  if (anchors.length === 0) screen.note('no signer but this host; let one in: rlp trust add <name> <key>');
  else
    screen.table(
      ['name', 'trusted', 'may be granted', 'key'],
      anchors.map(({ name, key, trusted, caps }) => [
        name,
        revokedKeys.includes(key) ? 'revoked' : trusted ? 'yes' : 'no',
        caps === undefined ? (trusted ? 'what is asked' : 'nothing') : 'see show',
        `${key.slice(0, 16)}…`,
      ]),
    );
  for (const [what, ids] of [['key', revokedKeys] as const, ['bundle', revokedBundles] as const])
    for (const id of ids) screen.line(`revoked ${what}  ${id}`);
  return 0;
}

async function show(args: Arguments, tools: Tools): Promise<number> {
  const { readTrustPolicy } = await import('@runloop/daemon');
  const read = await readTrustPolicy(tools.environment.root);
  if (!read.ok) return tools.fail(read.error);
  const wanted = text(args, 'name') ?? '';
  const anchor = read.value.anchors.find(({ name }) => name === wanted);
  if (anchor === undefined)
    return tools.fail(failure('NotFound', `there is no signer "${wanted}"`, { hint: 'see: rlp trust list' }));
  const { name, key, trusted, caps } = anchor;
  const revoked = read.value.revokedKeys.includes(key);
  if (tools.json) {
    tools.screen.json({ name, key, trusted, revoked, caps: caps?.given ?? null });
    return 0;
  }
  const { screen } = tools;
  screen.line(
    `${screen.paint('bold', name)}: ${trusted ? 'trusted' : 'not trusted, its agents run confined'}${revoked ? ', REVOKED' : ''}`,
  );
  screen.line(`key ${key}`);
  if (caps === undefined)
    screen.line(`may be granted: ${trusted ? 'whatever its agents ask for' : 'nothing; write [anchor.caps]'}`);
  else for (const [cap, value] of Object.entries(caps.given)) screen.line(`  ${cap}: ${JSON.stringify(value)}`);
  screen.line(screen.paint('dim', `in ${join(tools.environment.root, 'trust-policy.toml')}`));
  return 0;
}

async function add(args: Arguments, tools: Tools): Promise<number> {
  const { addAnchor, changeTrust, publicKeyFrom } = await import('@runloop/daemon');
  const key = await publicKeyFrom(text(args, 'key') ?? '');
  if (!key.ok) return tools.fail(key.error);
  const anchor = { name: text(args, 'name') ?? '', key: key.value, trusted: flag(args, 'trusted') };
  const changed = await changeTrust(tools.environment.root, addAnchor(anchor));
  if (!changed.ok) return tools.fail(changed.error);
  if (tools.json) tools.screen.json(anchor);
  else {
    tools.screen.line(`${anchor.name} (${anchor.key}) may sign agents`);
    if (!anchor.trusted)
      tools.screen.line('they run confined, with what [anchor.caps] in trust-policy.toml grants: nothing yet');
  }
  return 0;
}

async function remove(args: Arguments, tools: Tools): Promise<number> {
  const { changeTrust, removeAnchor } = await import('@runloop/daemon');
  const name = text(args, 'name') ?? '';
  const changed = await changeTrust(tools.environment.root, removeAnchor(name));
  if (!changed.ok) return tools.fail(changed.error);
  if (tools.json) tools.screen.json({ removed: name });
  else tools.screen.line(`agents of ${name} are started no more; what runs is stopped`);
  return 0;
}

async function revoke(args: Arguments, tools: Tools): Promise<number> {
  const { changeTrust, revoke: revocation } = await import('@runloop/daemon');
  const what = text(args, 'what') ?? '';
  const changed = await changeTrust(tools.environment.root, revocation(what));
  if (!changed.ok) return tools.fail(changed.error);
  if (tools.json) tools.screen.json({ revoked: what });
  else tools.screen.line(`revoked; what runs of it is stopped`);
  return 0;
}
