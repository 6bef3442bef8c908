/**
 * Who is the operator, and which narrower tokens he gave out.
 *
 * 1. `operator.token` holds 64 hex digits, mode 0600, made at the first start and replaced whole by `rotate`.
 * 2. Of client tokens only the SHA-256 is kept (they are 256 random bits: there is nothing to guess); mode 0600.
 * 3. Comparing takes the same time whatever is compared.
 * 4. A revoked, rotated or expired token is good for nothing from that moment; listeners are told.
 */
import { hash, timingSafeEqual } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Clock,
  type Failure,
  type Random,
  type Result,
  err,
  failure,
  ok,
  parseJson,
  isJsonObject,
  toHex,
} from '@runloop/core';
import { clientGrants } from '@runloop/bus';
import type { TokenHolder, TokenPort } from '../sessions/ports.ts';

export const clientTokensMax = 1000;
export const operatorTokenFile = 'operator.token';
const clientTokensFile = 'client-tokens.json';

export type ClientToken = {
  readonly name: string;
  readonly grants: readonly string[];
  readonly issued_ms: number;
  readonly expires_ms?: number;
};
type Stored = ClientToken & { readonly sha256: string };

export interface Tokens extends TokenPort {
  /** The token itself is given here, once. */
  issue(request: {
    name: string;
    grants: readonly string[];
    expiresMs?: number;
  }): Result<ClientToken & { readonly token: string }, Failure>;
  list(): readonly ClientToken[];
  revoke(name: string): Result<ClientToken, Failure>;
  /** A new operator token; the sessions of the old one end. */
  rotate(): Result<{ readonly path: string }, Failure>;
}

export type TokensDeps = { readonly stateDir: string; readonly clock: Clock; readonly random: Random };

export function openTokens(deps: TokensDeps): Result<Tokens, Failure> {
  const operatorPath = join(deps.stateDir, operatorTokenFile);
  const clientsPath = join(deps.stateDir, clientTokensFile);
  try {
    mkdirSync(deps.stateDir, { recursive: true, mode: 0o700 });
    const known = readIfThere(operatorPath)?.trim();
    if (known !== undefined && !/^[0-9a-f]{64}$/.test(known)) {
      const hint = 'Move it away; the next start makes a new one.';
      return err(failure('StorageCorrupt', `${operatorPath} does not hold 64 hex digits`, { hint }));
    }
    const operator = known ?? newToken(deps.random);
    if (known === undefined) replaceFile(operatorPath, `${operator}\n`);
    const clients = readClients(readIfThere(clientsPath));
    if (clients === undefined) return err(failure('StorageCorrupt', `${clientsPath} is not a list of tokens`));
    return ok(createTokens(deps, operator, clients, operatorPath, clientsPath));
  } catch (error) {
    return err(failure('StorageFailed', `the tokens cannot be read or written in ${deps.stateDir}: ${String(error)}`));
  }
}

function createTokens(
  deps: TokensDeps,
  first: string,
  stored: readonly Stored[],
  operatorPath: string,
  clientsPath: string,
): Tokens {
  let operatorHash = sha256(first);
  let clients = stored;
  const listeners = new Set<(id: string) => void>();
  const tell = (id: string): void => listeners.forEach((fn) => fn(id));
  const isGood = (client: Stored): boolean => client.expires_ms === undefined || client.expires_ms > deps.clock.nowMs();
  const save = (next: readonly Stored[]): Result<void, Failure> =>
    attempt(clientsPath, () => {
      replaceFile(clientsPath, `${JSON.stringify(next, undefined, 2)}\n`);
      clients = next;
    });

  return {
    verify(token) {
      const presented = sha256(token);
      let found: TokenHolder | undefined;
      if (isSame(presented, operatorHash)) found = { type: 'operator', id: 'operator', name: 'operator', grants: [] };
      for (const client of clients) {
        // No early return: how long this takes says nothing about which token came near.
        if (isSame(presented, client.sha256) && isGood(client)) found = holderOf(client);
      }
      return found;
    },
    onRevoked(fn) {
      listeners.add(fn);
      return { [Symbol.dispose]: () => void listeners.delete(fn) };
    },
    issue({ name, grants, expiresMs }) {
      const problem = refuseToken(name, grants, clients.filter(isGood));
      if (problem !== undefined) return err(problem);
      const token = newToken(deps.random);
      const shown: ClientToken = {
        name,
        grants: [...new Set(grants)].sort(),
        issued_ms: deps.clock.nowMs(),
        ...(expiresMs === undefined ? {} : { expires_ms: expiresMs }),
      };
      const saved = save([...clients.filter((client) => isGood(client)), { ...shown, sha256: sha256(token) }]);
      return saved.ok ? ok({ ...shown, token }) : saved;
    },
    list: () => clients.filter(isGood).map(shownOf),
    revoke(name) {
      const client = clients.find((one) => one.name === name);
      if (client === undefined)
        return err(failure('NotFound', `there is no token called ${name}`, { hint: 'rlp token list' }));
      const saved = save(clients.filter((one) => one !== client));
      if (!saved.ok) return saved;
      tell(holderOf(client).id);
      return ok(shownOf(client));
    },
    rotate() {
      const token = newToken(deps.random);
      const saved = attempt(operatorPath, () => replaceFile(operatorPath, `${token}\n`));
      if (!saved.ok) return saved;
      operatorHash = sha256(token);
      tell('operator');
      return ok({ path: operatorPath });
    },
  };
}

function shownOf({ name, grants, issued_ms, expires_ms }: Stored): ClientToken {
  return { name, grants, issued_ms, ...(expires_ms === undefined ? {} : { expires_ms }) };
}

function holderOf(client: Stored): TokenHolder {
  const { name, grants, expires_ms } = client;
  return {
    type: 'client',
    id: `client:${name}`,
    name,
    grants,
    ...(expires_ms === undefined ? {} : { expiresMs: expires_ms }),
  };
}

function refuseToken(name: string, grants: readonly string[], clients: readonly Stored[]): Failure | undefined {
  if (!/^[a-z0-9][a-z0-9_.-]{0,63}$/.test(name)) {
    return failure(
      'InvalidParams',
      `"${name.slice(0, 80)}" is no name for a token: a-z, 0-9, _ . - and at most 64 of them`,
    );
  }
  if (clients.some((client) => client.name === name)) {
    return failure('Conflict', `there is a token called ${name} already`, { hint: `rlp token revoke ${name}` });
  }
  const unknown = grants.find((grant) => !clientGrants.includes(grant));
  if (unknown !== undefined || grants.length === 0) {
    const what = unknown === undefined ? 'a token needs at least one grant' : `there is no grant ${unknown}`;
    return failure('InvalidParams', what, { hint: `Grants: ${clientGrants.join(', ')}` });
  }
  if (clients.length >= clientTokensMax)
    return failure('LimitExceeded', `at most ${clientTokensMax} tokens can be out`);
  return undefined;
}

function newToken(random: Random): string {
  return toHex(random.bytes(32));
}

function sha256(text: string): string {
  return hash('sha256', text);
}

function isSame(a: string, b: string): boolean {
  return timingSafeEqual(Buffer.from(a, 'latin1'), Buffer.from(b, 'latin1'));
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Whole or not at all, and on disk before it counts. */
function replaceFile(path: string, text: string): void {
  const draft = `${path}.new`;
  const file = openSync(draft, 'w', 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(draft, path);
}

function attempt(path: string, write: () => void): Result<void, Failure> {
  try {
    write();
    return ok(undefined);
  } catch (error) {
    return err(failure('StorageFailed', `${path} cannot be written: ${String(error)}`));
  }
}

function readClients(text: string | undefined): readonly Stored[] | undefined {
  if (text === undefined) return [];
  const parsed = parseJson(text);
  if (!parsed.ok || !Array.isArray(parsed.value)) return undefined;
  const list: Stored[] = [];
  for (const entry of parsed.value) {
    if (!isJsonObject(entry)) return undefined;
    const { name, grants, issued_ms, expires_ms, sha256: digest } = entry;
    if (typeof name !== 'string' || typeof digest !== 'string' || digest.length !== 64) return undefined;
    if (typeof issued_ms !== 'number' || !Array.isArray(grants)) return undefined;
    const known = grants.filter((grant): grant is string => typeof grant === 'string');
    list.push({
      name,
      grants: known,
      issued_ms,
      sha256: digest,
      ...(typeof expires_ms === 'number' ? { expires_ms } : {}),
    });
  }
  return list;
}
