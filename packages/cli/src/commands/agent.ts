/**
 * rlp agent: what agents there are, what each may do, building one from its source.
 *
 * Their keys, archives and installs are in agent-life.ts.
 */
import { existsSync, realpathSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Failure, isJsonObject, isName, type JsonObject, type Result, systemClock, showLine } from '@runloop/core';
import { brief } from '../brief.ts';
import { type Arguments, type Command, flag, text, texts, type Tools } from '../command.ts';
import { duration } from '../screen.ts';
import { installMsMax } from './agent-life.ts';

export const commands: readonly Command[] = [
  {
    usage: 'agent list',
    about: 'agents that can be used',
    examples: [['rlp agent list', 'names and where they lie']],
    run: list,
  },
  {
    usage: 'agent show <name>',
    about: 'one agent: ports, what it may do, digest, who signed it',
    examples: [['rlp agent show mailer', '']],
    run: show,
  },
  {
    usage: 'agent build [names..]',
    about: 'build agents from their source folders, sign them with the key of this host and install them',
    options: {
      all: { type: 'boolean', about: 'every agent of the checkout' },
      install: { type: 'boolean', about: '--no-install: only build', default: true },
    },
    examples: [
      ['rlp agent build ./my_agent', 'a folder with manifest.toml and src/agent.ts, src/main.c or src/main.rs'],
      ['rlp agent build --all', 'in a checkout of Runloop'],
    ],
    run: build,
  },
];

type Held = { readonly until_ms: number; readonly code: string };
type Listed = { readonly name: string; readonly dir: string; readonly version?: string; readonly quarantine?: Held };

async function list(_args: Arguments, tools: Tools): Promise<number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const found = await client.value.call('agent.list', {});
  if (!found.ok) return tools.fail(found.error);
  const { agents } = found.value as unknown as { agents: readonly Listed[] };
  if (tools.json) tools.screen.json(agents);
  else if (agents.length === 0) tools.screen.note('no agents; the directories are those of: rlp config show agents');
  else
    tools.screen.table(
      ['name', 'installed', 'folder'],
      agents.map((agent) => [agent.name, agent.version ?? '-', agent.dir]),
    );
  for (const { name, quarantine } of tools.json ? [] : agents)
    if (quarantine !== undefined) tools.screen.note(heldBack(name, quarantine));
  return 0;
}

function heldBack(name: string, { until_ms: until, code }: Held): string {
  return `rlp: ${name} is held back until ${new Date(until).toISOString()} (${showLine(code)}); lift it: rlp agent release ${name}`;
}

async function show(args: Arguments, tools: Tools): Promise<number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const found = await client.value.call('agent.show', { name: text(args, 'name') ?? '' }, { timeoutMs: 120_000 });
  if (!found.ok) return tools.fail(found.error);
  if (tools.json) {
    tools.screen.json(found.value);
    return 0;
  }
  const agent = found.value as unknown as {
    name: string;
    version: string;
    kind: string;
    digest: string;
    trusted: boolean;
    signer: string;
    confined: string;
    ports: { in: JsonObject; out: JsonObject };
    caps: JsonObject;
    sbom: { path: string } | null;
    quarantine: Held | null;
  };
  const { screen } = tools;
  screen.line(
    `${screen.paint('bold', agent.name)} ${agent.version}, a ${agent.kind}, signed by ${agent.signer === 'host' ? 'this host' : showLine(agent.signer)}`,
  );
  screen.line(screen.paint('dim', agent.digest));
  if (agent.sbom) screen.line(`made of what ${showLine(agent.sbom.path)} lists (CycloneDX)`);
  if (!agent.trusted) screen.line(`not trusted; confined by: ${showLine(agent.confined)}`);
  for (const way of ['in', 'out'] as const) {
    for (const [port, types] of Object.entries(agent.ports[way]))
      screen.line(`  ${way.padEnd(3)} ${port}: ${(types as readonly string[]).join(' | ')}`);
  }
  if (agent.quarantine !== null) screen.note(heldBack(agent.name, agent.quarantine));
  screen.line('may:');
  for (const [cap, value] of Object.entries(agent.caps)) {
    const nothing = value === false || (Array.isArray(value) && value.length === 0);
    if (isJsonObject(value)) screen.wrapped(`  ${cap}: `, brief(value).split(/(?<=,) /), cap.length + 4);
    else screen.line(`  ${cap}: ${nothing ? screen.paint('dim', 'no') : brief(value)}`);
  }
  return 0;
}

/** Below the state directory's own agents: it is found where it lies. */
function isKept(dir: string, { environment }: Tools): boolean {
  return realpathSync(dir).startsWith(`${realpathSync(environment.root)}/agents/`);
}

/** Whoever builds here has read what is asked for, so that an upgrade that asks for more is told and not asked about. */
async function register(dir: string, tools: Tools): Promise<number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const ask = (more: JsonObject): Promise<Result<unknown, Failure>> =>
    client.value.call('agent.install', { source: dir, ...more }, { timeoutMs: installMsMax });
  let done = await ask({});
  if (!done.ok && done.error.code === 'ApprovalRequired') {
    const { digest, more } = done.error.details ?? {};
    for (const line of Array.isArray(more) ? more : [])
      tools.screen.note(`  now it asks for ${showLine(String(line))}`);
    done = await ask({ accept: String(digest) });
  }
  return done.ok ? 0 : tools.fail(done.error);
}

async function build(args: Arguments, tools: Tools): Promise<number> {
  const { buildAgents, checkoutRoot } = await import('@runloop/daemon');
  const checkout = checkoutRoot(import.meta.dirname);
  const named = texts(args, 'names');
  if (named.length === 0 && !flag(args, 'all'))
    return tools.fail({ code: 'Usage', message: 'which agent?', hint: 'rlp agent build <folder or name>, or --all' });
  const places = named.map((name) => {
    const dir = resolve(tools.environment.cwd, name);
    return isName(name) && checkout !== undefined && !existsSync(join(dir, 'manifest.toml')) ? { name } : { dir };
  });
  let failed = 0;
  const built: JsonObject[] = [];
  for await (const { name, result, ms } of buildAgents({
    root: tools.environment.root,
    checkout,
    places,
    all: flag(args, 'all'),
    clock: systemClock,
  })) {
    if (!result.ok) {
      failed = tools.fail(result.error);
      continue;
    }
    const { dir, digest } = result.value;
    built.push({ name, dir, digest, ms: Math.round(ms) });
    if (!tools.json) tools.screen.line(`${name}  ${digest.slice(0, 12)}  ${duration(ms)}  ${dir}`);
    const own = places.some((place) => 'dir' in place && place.dir === dir);
    if (own && args['install'] !== false && !isKept(dir, tools)) failed = (await register(dir, tools)) || failed;
  }
  if (tools.json) tools.screen.json(built);
  return failed;
}
