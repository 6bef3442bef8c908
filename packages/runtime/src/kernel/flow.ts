/**
 * What each operation's answer brings in, and where its arguments go: the labels' half of the table of operations.
 *
 * 1. What comes from the network, files, programs and tools was written by somebody else: untrusted. What is read of
 *    people and files is private, and what is told to whoever shows a secret.
 * 2. A sink is where something leaves. Private data, or a decision taken on what somebody else wrote, does not reach one
 *    before a person has said so. For a model only secrecy counts, and only where no cleared provider serves it.
 * 3. Reading on where one has read already is no leak: what came from one host alone may ask that host for more.
 */
import {
  type JsonObject,
  type JsonValue,
  type Label,
  cleanLabel,
  isJsonObject,
  labelOf,
  labelSourcesMax,
} from '@runloop/core';
import type { Caps } from '../caps.ts';
import { domainsAsked } from './grants.ts';

export type Sink = 'net' | 'mail' | 'exec' | 'tools' | 'model';

const sinks: { readonly [op: string]: Sink } = {
  'http.fetch': 'net',
  'mail.send': 'mail',
  'exec.run': 'exec',
  'tools.call': 'tools',
  'model.complete': 'model',
  'model.embed': 'model',
};

/** Domains of the knowledge base that are not about people; everything else is. */
const impersonal: readonly string[] = ['artifacts'];

/** The label of whatever `op` with these arguments answers, failures included. */
export function taintOf(op: string, args: JsonValue, caps: Pick<Caps, 'fs' | 'secrets'>): Label {
  const given = isJsonObject(args) ? args : {};
  switch (op.split('.')[0]) {
    case 'http':
      return labelOf(`net:${hostOf(given) ?? '?'}`, { untrusted: true, private: showsSecret(given) });
    case 'fs':
      return labelOf(`fs:${text(given['path'] ?? given['from'])}`, { untrusted: true, private: true });
    case 'exec':
      return labelOf(`exec:${text(given['command'])}`, { untrusted: true, private: caps.fs.length > 0 });
    case 'tools':
      return labelOf(`tool:${text(given['tool'])}`, { untrusted: true, private: toolsSee(caps) });
    case 'kb':
      return op === 'kb.propose' ? cleanLabel : knowledge(op, given);
    default:
      return cleanLabel;
  }
}

/** A ladder of reasons leads wherever it leads, whatever it was asked about. */
function knowledge(op: string, given: JsonObject): Label {
  const domains = op === 'kb.why' ? [''] : domainsAsked(op, given);
  const personal = domains.filter((one) => !impersonal.includes(one));
  return labelOf(`kb:${personal.map((one) => (one === '' ? '*' : one)).join(',')}`, { private: personal.length > 0 });
}

/** Where the call would take what carries `label`, if it may not go there unasked. */
export function leakOf(op: string, args: JsonValue, label: Label): Sink | undefined {
  const sink = Object.hasOwn(sinks, op) ? sinks[op] : undefined;
  if (sink === undefined) return undefined;
  if (label.secrecy === 'private') return sink;
  if (label.trust === 'trusted' || sink === 'model') return undefined;
  return sink === 'net' && readsOn(isJsonObject(args) ? args : {}, label) ? undefined : sink;
}

/** What agents with these capabilities can bring in and send out, for whoever checks before a run. */
export function capsFlow(caps: Caps): {
  readonly brings: readonly { readonly what: string; readonly untrusted?: boolean; readonly private?: boolean }[];
  readonly sinks: readonly Sink[];
} {
  const { kb_read: read } = caps;
  const personal = read === true ? ['*'] : read.filter((one) => !impersonal.includes(one) && one !== 'contacts_raw');
  const outside = { untrusted: true } as const;
  const shows = caps.secrets.length > 0;
  return {
    brings: [
      ...(personal.length > 0 ? [{ what: `kb:${personal.join(',')}`, private: true }] : []),
      ...(caps.fs.length > 0
        ? [{ what: `fs:${caps.fs.map(({ path }) => path).join(',')}`, ...outside, private: true }]
        : []),
      ...(caps.net.length > 0 ? [{ what: `net:${caps.net.join(',')}`, ...outside, private: shows }] : []),
      ...(caps.exec.length > 0
        ? [
            {
              what: `exec:${[...new Set(caps.exec.map(({ command }) => command))].join(',')}`,
              ...outside,
              private: caps.fs.length > 0,
            },
          ]
        : []),
      ...(caps.tools.length > 0 ? [{ what: `tool:${caps.tools.join(',')}`, ...outside, private: toolsSee(caps) }] : []),
    ],
    sinks: [
      ...(caps.net.length > 0 ? (['net'] as const) : []),
      ...(caps.mail === undefined ? [] : (['mail'] as const)),
      ...(caps.exec.every(({ reads }) => reads === true) ? [] : (['exec'] as const)),
      ...(caps.tools.length > 0 ? (['tools'] as const) : []),
    ],
  };
}

/** A tool may be a program, which is given the files of its agent. */
function toolsSee({ fs, secrets }: Pick<Caps, 'fs' | 'secrets'>): boolean {
  return fs.length > 0 || secrets.length > 0;
}

function showsSecret({ headers }: JsonObject): boolean {
  return isJsonObject(headers) && Object.values(headers).some((value) => text(value).includes('{{secret:'));
}

function readsOn(given: JsonObject, label: Label): boolean {
  const method = given['method'] ?? 'GET';
  if (method !== 'GET' && method !== 'HEAD') return false;
  const host = hostOf(given);
  const { sources } = label;
  const isWhole = sources.length > 0 && sources.length < labelSourcesMax;
  return host !== undefined && isWhole && sources.every(({ what }) => what === `net:${host}`);
}

function hostOf(given: JsonObject): string | undefined {
  const url = text(given['url']);
  return URL.canParse(url) ? new URL(url).host : undefined;
}

function text(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : '';
}
