/**
 * The one table of operations: what each host call is, and nothing a bundle says can change it (A8).
 *
 * Retry class: `pure` may be repeated and is only noted; `idempotent` may be repeated by its call id; `once` may not.
 * Approval: an action that leaves is asked about, unless the operator's policy, behind the approvals port, grants it.
 */
import { type JsonValue, isJsonObject } from '@runloop/core';

export type RetryClass = 'pure' | 'idempotent' | 'once';

/** The capability of policy.caps that an operation needs. */
export type CapabilityKey =
  'model' | 'kb_read' | 'kb_write' | 'net' | 'exec' | 'tools' | 'secrets' | 'mailbox' | 'mail' | 'fs' | 'time';

export type Operation = {
  readonly cls: RetryClass;
  readonly capability: CapabilityKey | undefined;
  readonly approval: boolean;
  /** Asked about where it would be executed later: what that is, the kernel's ports know. */
  readonly latent?: true;
};

type Row = Operation | ((args: JsonValue) => Operation);

const row = (cls: RetryClass, capability: CapabilityKey | undefined, approval = false): Operation => ({
  cls,
  capability,
  approval,
});

const fileWrite: Operation = { ...row('once', 'fs'), latent: true };

const table: { readonly [op: string]: Row } = {
  'model.complete': row('idempotent', 'model'),
  'model.embed': row('idempotent', 'model'),
  'kb.query': row('pure', 'kb_read'),
  'kb.search': row('pure', 'kb_read'),
  'kb.why': row('pure', 'kb_read'),
  'kb.propose': row('once', 'kb_write'),
  'http.fetch': (args) => (isReading(args) ? row('idempotent', 'net') : row('once', 'net', true)),
  'exec.run': row('once', 'exec', true),
  'tools.call': row('once', 'tools', true),
  'secrets.ref': row('pure', 'secrets'),
  'mailbox.receive': row('once', undefined),
  'mailbox.send': row('once', 'mailbox'),
  'mail.send': row('once', 'mail', true),
  'fs.stat': row('pure', 'fs'),
  'fs.list': row('pure', 'fs'),
  'fs.read': row('pure', 'fs'),
  'fs.write': fileWrite,
  'fs.mkdir': fileWrite,
  'fs.remove': fileWrite,
  'fs.rename': fileWrite,
  'clock.now': row('pure', 'time'),
  'clock.sleep': row('pure', 'time'),
};

export const operationNames: readonly string[] = Object.keys(table);

/** What `op` with `args` is, or undefined where there is no such operation. */
export function operation(op: string, args: JsonValue): Operation | undefined {
  const found = Object.hasOwn(table, op) ? table[op] : undefined;
  return typeof found === 'function' ? found(args) : found;
}

function isReading(args: JsonValue): boolean {
  const method = isJsonObject(args) ? (args['method'] ?? 'GET') : undefined;
  return method === 'GET' || method === 'HEAD';
}
