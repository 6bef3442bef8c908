/**
 * Capabilities: what `policy.caps` asks for, deny by default, and how layers narrow it.
 *
 * 1. An absent key grants nothing. An unknown key or a wrong shape is an error: a typo must not look like a grant.
 * 2. `narrow(a, b)` never grants what either does not.
 *
 * A grant below the home directory keeps its `~`, one of the run's folder its `.`, until `expandHome`, where effective
 * capabilities are made.
 */
import { parse } from 'smol-toml';
import { type Failure, type Result, err, failure, isJsonObject, nearest, ok } from '@runloop/core';
import { type ExecGrant, moreFault, templateFault } from './exec/argv-template.ts';
import { type FsGrant, expandGrants, grantedDirectory, narrowGrants } from './files/fs-grants.ts';
import { netGrantFault } from './net/net-grants.ts';
import { type AgentLimits, agentLimitsMax, defaultAgentLimits, manifestBytesMax } from './limits.ts';
import { commonExec, commonGlobs, commonHosts, commonTexts } from './trust/patterns.ts';

export type Domains = true | readonly string[];

export type Caps = {
  readonly fs: readonly FsGrant[];
  readonly net: readonly string[];
  readonly time: boolean;
  /** Domains of the knowledge base, true for all, [] for none. */
  readonly kb_read: Domains;
  readonly kb_write: Domains;
  readonly secrets: readonly string[];
  readonly model:
    false | { readonly allow: readonly string[]; readonly tokens_per_run?: number; readonly usd_per_run?: number };
  readonly exec: readonly ExecGrant[];
  readonly tools: readonly string[];
  readonly mail?: { readonly from: string; readonly to: readonly string[] };
  readonly mailbox: readonly string[];
  readonly limits: AgentLimits;
};

export const noCaps: Caps = {
  fs: [],
  net: [],
  time: false,
  kb_read: [],
  kb_write: [],
  secrets: [],
  model: false,
  exec: [],
  tools: [],
  mailbox: [],
  limits: defaultAgentLimits,
};

const keys = [
  'fs',
  'net',
  'time',
  'kb_read',
  'kb_write',
  'secrets',
  'model',
  'exec',
  'tools',
  'mail',
  'mailbox',
  'limits',
];

class Wrong extends Error {}

export function parseCaps(text: string): Result<Caps, Failure> {
  return attempt('InvalidBundle', 'policy.caps', () => read(tableOf(text)));
}

/** Some keys of the same grammar: what a layer above the bundle leaves of it. A key that is not there changes nothing. */
export type CapsLayer = { readonly caps: Caps; readonly given: { readonly [key: string]: unknown } };

/** `what` names the layer in errors; `given` is its text, or the table that a program had. */
export function parseLayer(what: string, given: string | object): Result<CapsLayer, Failure> {
  return attempt('InvalidConfig', what, () => {
    const table = typeof given === 'string' ? tableOf(given) : (given as { readonly [key: string]: unknown });
    return { caps: read(table), given: table };
  });
}

function tableOf(text: string): { readonly [key: string]: unknown } {
  if (Buffer.byteLength(text) > manifestBytesMax) throw new Wrong(`it has more than ${manifestBytesMax} bytes`);
  return JSON.parse(JSON.stringify(parse(text))) as { [key: string]: unknown };
}

function attempt<T>(code: 'InvalidBundle' | 'InvalidConfig', what: string, work: () => T): Result<T, Failure> {
  try {
    return ok(work());
  } catch (error) {
    const why = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    return err(failure(code, `${what}: ${why}`));
  }
}

function read(given: { readonly [key: string]: unknown }): Caps {
  for (const key of Object.keys(given)) {
    if (keys.includes(key)) continue;
    const near = nearest(key, keys);
    throw new Wrong(`"${key}" is no capability${near === undefined ? '' : `; did you mean "${near}"?`}`);
  }
  const mail = given['mail'] === undefined ? undefined : mailGrant(given['mail']);
  return {
    fs: fsGrants(given['fs']),
    net: netGrants(given['net']),
    time: flag(given['time'], 'time'),
    kb_read: domains(given['kb_read'], 'kb_read'),
    kb_write: domains(given['kb_write'], 'kb_write'),
    secrets: strings(given['secrets'], 'secrets'),
    model: modelGrant(given['model']),
    exec: execGrants(given['exec']),
    tools: strings(given['tools'], 'tools'),
    ...(mail === undefined ? {} : { mail }),
    mailbox: strings(given['mailbox'], 'mailbox'),
    limits: limits(given['limits']),
  };
}

function strings(value: unknown, key: string): readonly string[] {
  if (value === undefined) return [];
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string' && item !== ''))
    throw new Wrong(`"${key}" must be a list of texts`);
  return value as readonly string[];
}

function netGrants(value: unknown): readonly string[] {
  const grants = strings(value, 'net');
  const fault = grants.map(netGrantFault).find((one) => one !== undefined);
  if (fault !== undefined) throw new Wrong(`"net": ${fault}`);
  return grants;
}

function flag(value: unknown, key: string): boolean {
  if (value !== undefined && typeof value !== 'boolean') throw new Wrong(`"${key}" must be true or false`);
  return value === true;
}

function fsGrants(value: unknown): readonly FsGrant[] {
  const form = '"fs" must be a list of "/abs/dir" or { path = "/abs/dir", write = true (or "ask") }';
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new Wrong(form);
  const grants = new Map<string, FsGrant>();
  for (const item of value as readonly unknown[]) {
    const given = typeof item === 'string' ? { path: item } : item;
    if (!isJsonObject(given) || typeof given['path'] !== 'string') throw new Wrong(form);
    const other = Object.keys(given).find((key) => key !== 'path' && key !== 'write');
    if (other !== undefined) throw new Wrong(`"fs" knows path and write, not "${other}"`);
    const directory = grantedDirectory(given['path']);
    if ('problem' in directory) throw new Wrong(`"fs": ${JSON.stringify(given['path'])} ${directory.problem}`);
    if (grants.has(directory.path)) throw new Wrong(`"fs" names ${directory.path} twice`);
    const asks = given['write'] === 'ask';
    const write = asks || flag(given['write'], 'fs.write');
    grants.set(directory.path, { path: directory.path, write, ...(asks ? { ask: true } : {}) });
  }
  return [...grants.values()];
}

function domains(value: unknown, key: string): Domains {
  return typeof value === 'boolean' ? (value ? true : []) : strings(value, key);
}

function modelGrant(value: unknown): Caps['model'] {
  if (value === undefined || value === false) return false;
  if (value === true) return { allow: ['*'] };
  if (!isJsonObject(value)) throw new Wrong('"model" must be true, false or a table');
  const amount = (key: string): number | undefined => {
    const given = value[key];
    if (given !== undefined && (typeof given !== 'number' || given < 0))
      throw new Wrong(`"model.${key}" must be a number, 0 or more`);
    return given;
  };
  const tokens = amount('tokens_per_run');
  const usd = amount('usd_per_run');
  return {
    allow: value['allow'] === undefined ? ['*'] : strings(value['allow'], 'model.allow'),
    ...(tokens === undefined ? {} : { tokens_per_run: tokens }),
    ...(usd === undefined ? {} : { usd_per_run: usd }),
  };
}

function execGrants(value: unknown): readonly ExecGrant[] {
  if (value === undefined) return [];
  const form = '"exec" must be a list of { command, argv }';
  if (!Array.isArray(value)) throw new Wrong(form);
  return value.map((item: unknown) => {
    if (!isJsonObject(item)) throw new Wrong(form);
    const other = Object.keys(item).find((key) => !['command', 'argv', 'more', 'reads'].includes(key));
    if (other !== undefined) throw new Wrong(`"exec" knows command, argv, more and reads, not "${other}"`);
    const { command } = item;
    if (typeof command !== 'string' || !command.startsWith('/') || command.includes('\0'))
      throw new Wrong('"exec.command" must be an absolute path');
    const argv = strings(item['argv'], 'exec.argv');
    const fault = argv.map(templateFault).find((one) => one !== undefined);
    if (fault !== undefined) throw new Wrong(`"exec.argv": ${fault}`);
    const more = strings(item['more'], 'exec.more');
    const moreWrong = more.map(moreFault).find((one) => one !== undefined);
    if (moreWrong !== undefined) throw new Wrong(`"exec.more": ${moreWrong}`);
    const reads = flag(item['reads'], 'exec.reads');
    return { command, argv, ...(more.length === 0 ? {} : { more }), ...(reads ? { reads } : {}) };
  });
}

function mailGrant(value: unknown): NonNullable<Caps['mail']> {
  if (!isJsonObject(value) || typeof value['from'] !== 'string') throw new Wrong('"mail" must be { from, to }');
  return { from: value['from'], to: strings(value['to'], 'mail.to') };
}

function limits(value: unknown): AgentLimits {
  if (value === undefined) return defaultAgentLimits;
  if (!isJsonObject(value)) throw new Wrong('"limits" must be a table');
  const out: { [key: string]: number } = { ...defaultAgentLimits };
  for (const [key, amount] of Object.entries(value)) {
    const most = Object.hasOwn(agentLimitsMax, key) ? agentLimitsMax[key as keyof AgentLimits] : undefined;
    if (most === undefined) throw new Wrong(`"limits.${key}" is no limit`);
    if (typeof amount !== 'number' || !Number.isInteger(amount) || amount < 1)
      throw new Wrong(`"limits.${key}" must be a whole number, 1 or more`);
    if (amount > most) throw new Wrong(`"limits.${key}" is ${amount}, more than ${most}`);
    out[key] = amount;
  }
  return out as AgentLimits;
}

const both = (a: Domains, b: Domains): Domains => (a === true ? b : b === true ? a : commonTexts(a, b));
const least = (a?: number, b?: number): number | undefined =>
  a === undefined ? b : b === undefined ? a : Math.min(a, b);

/** What both layers grant. */
export function narrow(a: Caps, b: Caps): Caps {
  const tokens =
    a.model !== false && b.model !== false ? least(a.model.tokens_per_run, b.model.tokens_per_run) : undefined;
  const usd = a.model !== false && b.model !== false ? least(a.model.usd_per_run, b.model.usd_per_run) : undefined;
  const models = a.model === false || b.model === false ? [] : commonGlobs(a.model.allow, b.model.allow);
  const mail =
    a.mail !== undefined && b.mail !== undefined && a.mail.from === b.mail.from
      ? { from: a.mail.from, to: commonGlobs(a.mail.to, b.mail.to) }
      : undefined;
  return {
    fs: narrowGrants(a.fs, b.fs),
    net: commonHosts(a.net, b.net),
    time: a.time && b.time,
    kb_read: both(a.kb_read, b.kb_read),
    kb_write: both(a.kb_write, b.kb_write),
    secrets: commonTexts(a.secrets, b.secrets),
    model:
      models.length === 0
        ? false
        : {
            allow: models,
            ...(tokens === undefined ? {} : { tokens_per_run: tokens }),
            ...(usd === undefined ? {} : { usd_per_run: usd }),
          },
    exec: commonExec(a.exec, b.exec),
    tools: commonTexts(a.tools, b.tools),
    ...(mail === undefined ? {} : { mail }),
    mailbox: commonTexts(a.mailbox, b.mailbox),
    limits: Object.fromEntries(
      Object.entries(a.limits).map(([key, amount]) => [key, Math.min(amount, b.limits[key as keyof AgentLimits])]),
    ) as AgentLimits,
  };
}

/** With `~` as the directory that it stands for on this host, and `.` as the folder that the run was given. */
export function expandHome(caps: Caps, home: string, folder?: string): Caps {
  return { ...caps, fs: expandGrants(caps.fs, home, folder) };
}
