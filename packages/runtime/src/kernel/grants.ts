/**
 * Does what is granted cover this call?
 *
 * 1. Deny by default: an argument that is missing or of another shape is not covered.
 * 2. Patterns have `*` alone and are matched in linear time; no regular expression comes from a bundle.
 */
import { type JsonObject, type JsonValue, isJsonObject } from '@runloop/core';
import type { Caps, Domains } from '../caps.ts';
import { type ExecGrant, fits, fitsMore } from '../exec/argv-template.ts';
import { grantFor, missingGrant, pathProblem } from '../files/fs-grants.ts';
import { execMoreMax, grantCharsMax, targetCharsMax } from '../limits.ts';
import { netCovers, netTarget } from '../net/net-grants.ts';
import { matches } from '../trust/patterns.ts';
import type { CapabilityKey } from './operations.ts';

/** What was asked for, and whether it is granted; `grant` is what policy.caps would have to say. */
export type Verdict = { readonly allowed: boolean; readonly target: string; readonly grant: string };

export function judge(caps: Caps, key: CapabilityKey | undefined, op: string, args: JsonValue): Verdict {
  const { allowed, target, grant } = judged(caps, key, op, args);
  return { allowed, target: cut(target, targetCharsMax), grant: cut(grant, grantCharsMax) };
}

/** Both are said in errors and on the ledger, and hold what the agent has written. */
function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1).toWellFormed()}…`;
}

function judged(caps: Caps, key: CapabilityKey | undefined, op: string, args: JsonValue): Verdict {
  const given = isJsonObject(args) ? args : {};
  switch (key) {
    case undefined:
      return { allowed: isJsonObject(args), target: '', grant: '' };
    case 'model':
      return model(caps, given);
    case 'kb_read':
      return domains(caps.kb_read, 'kb_read', op, given);
    case 'kb_write':
      return domains(caps.kb_write, 'kb_write', op, given);
    case 'net':
      return net(caps, given);
    case 'exec':
      return exec(caps, given);
    case 'tools':
      return listed(caps.tools, 'tools', given['tool']);
    case 'secrets':
      return listed(caps.secrets, 'secrets', given['id']);
    case 'mailbox':
      return listed(caps.mailbox, 'mailbox', given['to']);
    case 'mail':
      return mail(caps, given);
    case 'fs':
      return files(caps, op, given);
    case 'time':
      return { allowed: caps.time, target: '', grant: 'time = true' };
    default:
      return key satisfies never;
  }
}

function text(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : '';
}

function listed(granted: readonly string[], key: string, value: JsonValue | undefined): Verdict {
  const target = text(value);
  return { allowed: target !== '' && granted.includes(target), target, grant: `${key} = ["${target}"]` };
}

function model(caps: Caps, given: JsonObject): Verdict {
  const target = text(given['model']);
  const allowed =
    caps.model !== false && (target === '' || caps.model.allow.some((pattern) => matches(pattern, target)));
  return { allowed, target, grant: target === '' ? 'model = true' : `model = { allow = ["${target}"] }` };
}

const domainOfKind: { readonly [prefix: string]: string } = {
  contact: 'contacts',
  account: 'accounts',
  artifact: 'artifacts',
  fact: 'facts',
  edge: 'edges',
  note: 'notes',
  email: 'email',
};

/** The domain of a kind such as `contact` or `contact.upserted`. */
export function domainOf(kind: string): string {
  const prefix = kind.split('.')[0] ?? '';
  return Object.hasOwn(domainOfKind, prefix) ? (domainOfKind[prefix] ?? prefix) : prefix;
}

/** The domains that a call on the knowledge base names; an empty name where it names none. Each operation names them in one argument. */
export function domainsAsked(op: string, given: JsonObject): readonly string[] {
  if (op === 'kb.why') return [domainOf(text(given['entity']).split(':')[0] ?? '')];
  if (op !== 'kb.search') return [domainOf(text(given['kind']))];
  const { kinds } = given;
  return Array.isArray(kinds) && kinds.length > 0
    ? [...new Set((kinds as readonly JsonValue[]).map((kind) => domainOf(text(kind))))]
    : [''];
}

function domains(granted: Domains, key: string, op: string, given: JsonObject): Verdict {
  const asked = domainsAsked(op, given);
  const allowed =
    granted === true ||
    (granted.length > 0 && asked.length > 0 && asked.every((one) => one !== '' && granted.includes(one)));
  const target = asked.join(', ');
  const grant =
    target === ''
      ? `${key} = true (or name the kinds that are asked for)`
      : `${key} = [${asked.map((one) => `"${one}"`).join(', ')}]`;
  return { allowed, target, grant };
}

function net(caps: Caps, given: JsonObject): Verdict {
  const raw = text(given['url']);
  const found = netTarget(raw);
  if ('fault' in found) return { allowed: false, target: raw, grant: `net (${found.fault})` };
  return { allowed: netCovers(caps.net, found), target: found.name, grant: `net = ["${found.name}"]` };
}

function exec(caps: Caps, given: JsonObject): Verdict {
  const command = text(given['command']);
  const argv = argumentsOf(given);
  const target = [command, ...(argv ?? [])].join(' ');
  const allowed = argv !== undefined && caps.exec.some((grant) => covers(grant, command, argv));
  return {
    allowed,
    target,
    grant: `exec = [{ command = "${command}", argv = [${(argv ?? []).map((one) => JSON.stringify(one)).join(', ')}] }]`,
  };
}

export function argumentsOf(given: JsonObject): readonly string[] | undefined {
  const argv = given['argv'] ?? [];
  if (!Array.isArray(argv) || !argv.every((one) => typeof one === 'string' && !one.includes('\0'))) return undefined;
  return argv as readonly string[];
}

function covers({ argv: template, more = [], ...grant }: ExecGrant, command: string, argv: readonly string[]): boolean {
  const rest = argv.slice(template.length);
  return (
    grant.command === command &&
    argv.length >= template.length &&
    template.every((part, index) => fits(part, argv[index] ?? '')) &&
    rest.length <= execMoreMax &&
    rest.every((one) => more.some((part) => fitsMore(part, one)))
  );
}

/** Whether the call is a command that is granted only to read: it runs where nothing can be changed or sent. */
export function isReadingCommand(caps: Pick<Caps, 'exec'>, op: string, args: JsonValue): boolean {
  if (op !== 'exec.run' || !isJsonObject(args)) return false;
  const command = text(args['command']);
  const argv = argumentsOf(args);
  return argv !== undefined && caps.exec.some((grant) => grant.reads === true && covers(grant, command, argv));
}

function mail(caps: Caps, given: JsonObject): Verdict {
  const to = Array.isArray(given['to']) ? (given['to'] as readonly JsonValue[]).map(text) : [text(given['to'])];
  const from = text(given['from']);
  const target = to.join(', ');
  const { mail: granted } = caps;
  const allowed =
    granted !== undefined &&
    (from === '' || from === granted.from) &&
    to.length > 0 &&
    to.every((one) => one !== '' && granted.to.some((pattern) => matches(pattern, one)));
  return {
    allowed,
    target,
    grant: `mail = { from = "${from === '' ? 'you@example.com' : from}", to = ["${target}"] }`,
  };
}

/** Whether directories are granted that hold the paths; where they lead, the opener sees when it goes there. */
function files(caps: Caps, op: string, given: JsonObject): Verdict {
  const write = op !== 'fs.stat' && op !== 'fs.list' && op !== 'fs.read';
  const paths = (op === 'fs.rename' ? [given['from'], given['to']] : [given['path']]).map(text);
  const target = paths.join(' → ');
  for (const path of paths) {
    const problem = pathProblem(path);
    if (problem !== undefined) return { allowed: false, target, grant: `fs (for a plain absolute path: ${problem})` };
    const granted = grantFor(caps.fs, path);
    if (granted === undefined || (write && !granted.write))
      return { allowed: false, target, grant: missingGrant(path, write, op === 'fs.list') };
  }
  return { allowed: true, target, grant: '' };
}
