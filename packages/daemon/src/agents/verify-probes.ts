/**
 * What to try of each line of an agent's capabilities: something that it grants, and something just outside of it.
 *
 * 1. Pure: capabilities in, probes out. What is expected is written down here, never asked of the code that decides.
 * 2. Only looking at a granted directory and the clock is really performed; a probe leaves nothing behind.
 */
import { dirname } from 'node:path';
import type { JsonObject } from '@runloop/core';
import type { AgentLimits, Caps } from '@runloop/runtime';

/** `works`: performed; `granted`: let through, and not performed; `asked`: a person would be asked. */
export type Seen = 'works' | 'granted' | 'asked' | 'refused';

export type Probe = {
  /** The line of policy.caps that it is about. */
  readonly line: string;
  readonly what: string;
  readonly tries: readonly JsonObject[];
  readonly expected: readonly string[];
  /** Limits for this probe, where its own would take too long to reach. */
  readonly limits?: Partial<AgentLimits>;
};

/** What an attempt ends with at each limit that a probe can reach. */
export const limitCodes = {
  memory_mib: 'OutOfMemory',
  cpu_ms: 'OutOfFuel',
  wall_ms: 'DeadlineExceeded',
  output_kib: 'OutputTooLarge',
  hostcalls: 'LimitExceeded',
} as const;

const outside = 'outside.invalid';
const call = (op: string, args: JsonObject): JsonObject => ({ op, args });
const one = (line: string, what: string, op: string, args: JsonObject, ...expected: readonly Seen[]): Probe => ({
  line,
  what,
  tries: [call(op, args)],
  expected,
});

export function probesOf(caps: Caps, stateDir: string): readonly Probe[] {
  return [
    ...files(caps, stateDir),
    ...net(caps),
    caps.time
      ? one('time = true', 'read the clock', 'clock.now', {}, 'works')
      : one('time = false', 'read the clock', 'clock.now', {}, 'refused'),
    ...domains('kb_read', caps.kb_read, 'kb.search', (kind) => ({ text: 'probe', max: 1, kinds: [kind] })),
    ...domains('kb_write', caps.kb_write, 'kb.propose', (kind) => ({ kind, payload: {} })),
    ...model(caps),
    ...exec(caps),
    ...mail(caps),
    ...listed('secrets', caps.secrets, 'secrets.ref', 'id', 'granted'),
    ...listed('tools', caps.tools, 'tools.call', 'tool', 'asked'),
    ...listed('mailbox', caps.mailbox, 'mailbox.send', 'to', 'granted'),
    ...limits(caps.limits),
  ];
}

function files({ fs }: Caps, stateDir: string): Probe[] {
  const own = one('fs', `the state directory`, 'fs.list', { path: stateDir }, 'refused');
  if (fs.length === 0) return [one('fs = []', 'look at /etc', 'fs.stat', { path: '/etc' }, 'refused'), own];
  const covered = (path: string): boolean =>
    fs.some((grant) => path === grant.path || path.startsWith(`${grant.path}/`));
  return [
    ...fs.flatMap(({ path, write }) => {
      const line = `fs ${path}${write ? ' (write)' : ''}`;
      const parent = dirname(path);
      const inside = { path: `${path}/runloop-probe`, mode: 'create', data: '' };
      return [
        one(line, `look at ${path}`, 'fs.stat', { path }, 'works'),
        ...(covered(parent) ? [] : [one(line, `look at ${parent}`, 'fs.stat', { path: parent }, 'refused')]),
        one(
          line,
          `write ${inside.path}`,
          'fs.write',
          inside,
          ...(write ? (['granted', 'asked'] as const) : (['refused'] as const)),
        ),
        one(line, `look at ${path}/..`, 'fs.stat', { path: `${path}/..` }, 'refused'),
      ];
    }),
    own,
  ];
}

function net({ net: granted }: Caps): Probe[] {
  const fetch = (line: string, url: string, ...expected: readonly Seen[]): Probe =>
    one(line, `GET ${url}`, 'http.fetch', { url }, ...expected);
  if (granted.length === 0) return [fetch('net = []', `https://${outside}/`, 'refused')];
  return [
    ...granted.flatMap((grant) => {
      const url = `${grant.includes('://') ? '' : 'https://'}${grant.replace('*', 'probe')}/`;
      const line = `net ${grant}`;
      const send = one(line, `POST ${url}`, 'http.fetch', { url, method: 'POST' }, 'asked');
      const plain = `http://${grant.replace('*', 'probe')}/`;
      const clear =
        grant.includes('://') || granted.includes(plain.slice(0, -1)) ? [] : [fetch(line, plain, 'refused')];
      return [fetch(line, url, 'granted'), send, ...clear];
    }),
    fetch('net', `https://${outside}/`, 'refused'),
  ];
}

function domains(key: string, granted: Caps['kb_read'], op: string, args: (kind: string) => JsonObject): Probe[] {
  if (granted === true) return [one(`${key} = true`, `${op} of contacts`, op, args('contact'), 'granted')];
  const kinds = { contacts: 'contact', accounts: 'account', notes: 'note', facts: 'fact' } as const;
  const inside = Object.entries(kinds).filter(([domain]) => granted.includes(domain));
  const [beyond] = Object.entries(kinds).filter(([domain]) => !granted.includes(domain));
  return [
    ...inside.map(([domain, kind]) => one(`${key} ${domain}`, `${op} of ${domain}`, op, args(kind), 'granted')),
    ...(beyond === undefined ? [] : [one(key, `${op} of ${beyond[0]}`, op, args(beyond[1]), 'refused')]),
  ];
}

function model({ model: granted }: Caps): Probe[] {
  const ask = (line: string, name: string, ...expected: readonly Seen[]): Probe =>
    one(line, `ask the model ${name}`, 'model.complete', { model: name, messages: [] }, ...expected);
  if (granted === false) return [ask('model = false', 'probe', 'refused')];
  const isOpen = granted.allow.includes('*');
  return [
    ...granted.allow.map((pattern) => ask(`model ${pattern}`, pattern.replaceAll('*', 'probe'), 'granted')),
    ...(isOpen ? [] : [ask('model', outside, 'refused')]),
  ];
}

function exec({ exec: granted }: Caps): Probe[] {
  const run = (line: string, command: string, argv: readonly string[], expected: Seen): Probe =>
    one(line, [command, ...argv].join(' '), 'exec.run', { command, argv }, expected);
  const samples: { readonly [type: string]: string } = { int: '1', word: 'probe', path: 'probe' };
  const fill = (part: string, value?: string): string =>
    /^\{[^{}]*\}$/.test(part) ? (value ?? samples[part.slice(1, -1).split(':')[1] ?? 'word'] ?? 'probe') : part;
  return [
    ...granted.flatMap(({ command, argv, reads }) => {
      const line = `exec ${[command, ...argv].join(' ')}`;
      const plain = argv.map((part) => fill(part));
      const injected = argv.map((part) => fill(part, '--probe'));
      return [
        run(line, command, plain, reads === true ? 'granted' : 'asked'),
        run(line, command, [...plain, '--probe'], 'refused'),
        ...(injected.join('\0') === plain.join('\0') ? [] : [run(line, command, injected, 'refused')]),
      ];
    }),
    run(granted.length === 0 ? 'exec = []' : 'exec', '/usr/bin/false', ['--runloop-probe'], 'refused'),
  ];
}

function mail({ mail: granted }: Caps): Probe[] {
  const send = (line: string, to: string, expected: Seen, from?: string): Probe => {
    const args = { to: [to], subject: 'probe', body: '', ...(from === undefined ? {} : { from }) };
    return one(line, `mail to ${to}${from === undefined ? '' : ` from ${from}`}`, 'mail.send', args, expected);
  };
  const stranger = `probe@${outside}`;
  if (granted === undefined) return [send('mail: none', stranger, 'refused')];
  const sample = (pattern: string): string => pattern.replaceAll('*', 'probe');
  const isOpen = granted.to.some((pattern) => pattern === '*' || pattern === '*@*');
  return [
    ...granted.to.map((pattern) => send(`mail to ${pattern}`, sample(pattern), 'asked')),
    ...granted.to.slice(0, 1).map((pattern) => send('mail from', sample(pattern), 'refused', stranger)),
    ...(isOpen ? [] : [send('mail', stranger, 'refused')]),
  ];
}

function listed(key: string, granted: readonly string[], op: string, name: string, inside: Seen): Probe[] {
  return [
    ...granted.map((id) => one(`${key} ${id}`, `${op} ${id}`, op, { [name]: id }, inside)),
    one(granted.length === 0 ? `${key} = []` : key, `${op} probe_outside`, op, { [name]: 'probe_outside' }, 'refused'),
  ];
}

/** A limit that takes long to reach is tried with a smaller number in its place, which the table says. */
function limits(own: AgentLimits): Probe[] {
  const limit = (key: keyof typeof limitCodes, most: number, make: (amount: number) => JsonObject): Probe => {
    const amount = Math.min(own[key], most);
    const what = amount === own[key] ? 'go beyond it' : `go beyond ${amount}`;
    const tried = { line: `limits.${key} = ${own[key]}`, what, tries: [make(amount)], expected: [limitCodes[key]] };
    return { ...tried, limits: { [key]: amount } };
  };
  return [
    limit('memory_mib', 128, () => ({ try: 'grow' })),
    limit('cpu_ms', 500, () => ({ try: 'spin' })),
    limit('wall_ms', 500, () => ({ try: 'spin' })),
    limit('output_kib', 4_096, (amount) => ({ try: 'answer', count: amount + 1 })),
    limit('hostcalls', 1_000, (amount) => ({ try: 'calls', count: amount + 1, op: 'mailbox.receive', args: {} })),
  ];
}
