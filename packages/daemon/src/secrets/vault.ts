/**
 * The vault: one file of sealed entries, opened by a passphrase or by a key file.
 *
 * 1. AES-256-GCM with a nonce of its own for each seal. An entry is sealed together with its id, what it is for and when it
 *    was put; the list of entries is sealed as a whole: an entry that is changed, swapped, removed or brought back is noticed.
 * 2. The key comes from the passphrase by scrypt, or from a file that its owner alone can read. Only the key stays in
 *    memory; a value is unsealed when it is asked for.
 * 3. The file is replaced in one step and was on the disk before: a crash leaves the old one or the new one.
 */
import { createCipheriv, createDecipheriv, scrypt } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  canonicalJson,
  err,
  type Failure,
  failure,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  makeDirectory,
  ok,
  parseJson,
  type Random,
  type Result,
} from '@runloop/core';
import type { SecretsBackend } from './backend.ts';
import { type Binding, parseBinding, showBinding } from './binding.ts';
import { passphraseCharsMin, secretsMax } from './limits.ts';

/** 64 MiB and about a quarter of a second for each guess. */
const cost = { n: 65_536, r: 8, p: 2 } as const;
const keyBytes = 32;

type Sealed = { readonly for: string; readonly put_ms: number; readonly sealed: string };
type File = {
  readonly version: 1;
  readonly kdf: JsonObject;
  /** Opens with the right key, whatever the entries are. */
  readonly check: string;
  readonly entries: { readonly [id: string]: Sealed };
  /** Opens with the right key and exactly these entries. */
  readonly seal: string;
};

export type VaultKey = { readonly passphrase: string } | { readonly keyFile: string };
export type VaultDeps = {
  readonly random: Random;
  /** A file that holds the passphrase, for daemons that nobody sits in front of. */
  readonly passphraseFile?: string | undefined;
};

export class Vault implements SecretsBackend {
  readonly name = 'vault';
  readonly path: string;
  readonly #random: Random;
  #key: Buffer | undefined;

  readonly #passphraseFile: string | undefined;

  constructor({ random, passphraseFile }: VaultDeps, dir: string) {
    this.#random = random;
    this.#passphraseFile = passphraseFile;
    this.path = join(dir, 'vault.json');
  }

  get locked(): boolean {
    return this.#key === undefined;
  }

  async init(by: VaultKey): Promise<Result<void, Failure>> {
    if (existsSync(this.path))
      return err(
        failure('Conflict', `there is a vault already: ${this.path}`, { hint: 'open it: rlp secrets unlock' }),
      );
    const made = makeDirectory(dirname(this.path));
    if (!made.ok) return made;
    const salt = Buffer.from(this.#random.bytes(16)).toString('base64');
    const key = 'keyFile' in by ? this.#makeKeyFile(by.keyFile) : await derived(by.passphrase, salt, cost);
    if (!key.ok) return key;
    const kdf: JsonObject =
      'keyFile' in by ? { type: 'key-file', path: by.keyFile, salt } : { type: 'scrypt', ...cost, salt };
    this.#key = key.value;
    const check = this.#seal('vault', ['check', kdf]);
    return this.#write({ version: 1, kdf, check, entries: {}, seal: '' });
  }

  /** Takes the key into memory: from its file, or from the passphrase. */
  async unlock(given?: string): Promise<Result<void, Failure>> {
    const file = this.#read();
    if (!file.ok) return file;
    const { kdf, check } = file.value;
    const isFile = kdf['type'] === 'key-file';
    const passphrase = given === undefined && !isFile ? this.#passphrase() : ok(given ?? '');
    if (!passphrase.ok) return passphrase;
    const key = isFile
      ? readKey(String(kdf['path']))
      : await derived(passphrase.value, String(kdf['salt']), kdf as unknown as typeof cost);
    if (!key.ok) return key;
    if (opened(key.value, check, ['check', kdf]) === undefined) {
      const what = isFile ? `the key in ${String(kdf['path'])} does not open` : 'this passphrase does not open';
      return err(failure('Forbidden', `${what} the vault ${this.path}`));
    }
    this.#key = key.value;
    const whole = this.#load();
    return whole.ok ? ok(undefined) : whole;
  }

  async get(id: string): ReturnType<SecretsBackend['get']> {
    const file = await this.#open();
    if (!file.ok) return file;
    const entry = Object.hasOwn(file.value.entries, id) ? file.value.entries[id] : undefined;
    if (entry === undefined) return ok(undefined);
    const value = opened(this.#key, entry.sealed, contextOf(id, entry));
    const binding = parseBinding(entry.for);
    if (value === undefined || !binding.ok) return err(tampered(this.path, `the entry ${id}`));
    return ok({ value, binding: binding.value, putMs: entry.put_ms });
  }

  async put(
    id: string,
    given: { readonly value: string; readonly binding: Binding; readonly putMs: number },
  ): Promise<Result<void, Failure>> {
    const file = await this.#open();
    if (!file.ok) return file;
    const { entries } = file.value;
    if (!Object.hasOwn(entries, id) && Object.keys(entries).length >= secretsMax)
      return err(failure('LimitExceeded', `the vault holds ${secretsMax} secrets`));
    const entry = { for: showBinding(given.binding), put_ms: given.putMs };
    const sealed = this.#seal(given.value, contextOf(id, entry));
    return this.#write({ ...file.value, entries: { ...entries, [id]: { ...entry, sealed } } });
  }

  async delete(id: string): Promise<Result<boolean, Failure>> {
    const file = await this.#open();
    if (!file.ok) return file;
    const { [id]: gone, ...entries } = file.value.entries;
    if (gone === undefined) return ok(false);
    const written = this.#write({ ...file.value, entries });
    return written.ok ? ok(true) : written;
  }

  async list(): ReturnType<SecretsBackend['list']> {
    const file = await this.#open();
    if (!file.ok) return file;
    return ok(
      Object.entries(file.value.entries).flatMap(([id, entry]) => {
        const binding = parseBinding(entry.for);
        return binding.ok ? [{ id, binding: binding.value, putMs: entry.put_ms }] : [];
      }),
    );
  }

  async #open(): Promise<Result<File, Failure>> {
    if (this.locked) {
      const unlocked = await this.unlock();
      if (!unlocked.ok) return unlocked;
    }
    return this.#load();
  }

  #load(): Result<File, Failure> {
    const file = this.#read();
    if (!file.ok) return file;
    const isWhole = opened(this.#key, file.value.seal, sealedWith(file.value)) !== undefined;
    return isWhole ? file : err(tampered(this.path, 'its list of entries'));
  }

  #read(): Result<File, Failure> {
    let text: string;
    try {
      text = readFileSync(this.path, 'utf8');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT')
        return err(failure('StorageFailed', `${this.path} cannot be read: ${code ?? String(error)}`));
      const hint = 'make one: rlp secrets init';
      return err(failure('ProviderUnavailable', `there is no vault: ${this.path}`, { hint }));
    }
    const parsed = parseJson(text);
    const file = parsed.ok && isJsonObject(parsed.value) ? parsed.value : {};
    if (file['version'] !== 1)
      return err(
        failure('NewerVersion', `${this.path} is no vault of version 1`, { hint: 'restore it from a backup' }),
      );
    const isWhole =
      isJsonObject(file['kdf']) &&
      typeof file['check'] === 'string' &&
      typeof file['seal'] === 'string' &&
      isJsonObject(file['entries']) &&
      Object.values(file['entries']).every(isSealed);
    return isWhole ? ok(file as unknown as File) : err(tampered(this.path, 'the file'));
  }

  #write(file: File): Result<void, Failure> {
    const whole = { ...file, seal: this.#seal('whole', sealedWith(file)) };
    return writeWhole(this.path, `${JSON.stringify(whole, undefined, 1)}\n`);
  }

  #seal(text: string, context: JsonValue): string {
    if (this.#key === undefined) throw new Error('assumed an open vault');
    const nonce = this.#random.bytes(12);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce).setAAD(aad(context));
    const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64');
  }

  #passphrase(): Result<string, Failure> {
    const path = this.#passphraseFile;
    if (path === undefined) return err(lockedFailure);
    const text = readPrivate(path);
    return text.ok ? ok(text.value.replace(/\r?\n$/, '')) : text;
  }

  #makeKeyFile(path: string): Result<Buffer, Failure> {
    const made = makeDirectory(dirname(path));
    if (!made.ok) return made;
    if (existsSync(path)) return readKey(path);
    const key = Buffer.from(this.#random.bytes(keyBytes));
    const written = writeWhole(path, `${key.toString('base64')}\n`);
    return written.ok ? ok(key) : written;
  }
}

const lockedFailure = failure('Forbidden', 'the vault is locked', { hint: 'open it: rlp secrets unlock' });

function tampered(path: string, what: string): Failure {
  const hint = 'somebody changed it, or the disk did: restore the file from a backup';
  return failure('StorageCorrupt', `the vault ${path} was changed outside of this program: ${what} does not open`, {
    hint,
  });
}

function contextOf(id: string, { for: use, put_ms: putMs }: Omit<Sealed, 'sealed'>): JsonValue {
  return ['entry', id, use, putMs];
}

function sealedWith({ kdf, entries }: File): JsonValue {
  return ['entries', kdf, entries];
}

function isSealed(entry: JsonValue): boolean {
  if (!isJsonObject(entry)) return false;
  return typeof entry['for'] === 'string' && typeof entry['put_ms'] === 'number' && typeof entry['sealed'] === 'string';
}

function aad(context: JsonValue): Buffer {
  const text = canonicalJson(context);
  if (!text.ok) throw new Error(text.error.why);
  return Buffer.from(`runloop vault 1 ${text.value}`);
}

function opened(key: Buffer | undefined, sealed: string, context: JsonValue): string | undefined {
  const bytes = Buffer.from(sealed, 'base64');
  if (key === undefined || bytes.length < 28) return undefined;
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12)).setAAD(aad(context));
    decipher.setAuthTag(bytes.subarray(12, 28));
    return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]).toString('utf8');
  } catch {
    return undefined;
  }
}

function derived(
  passphrase: string,
  salt: string,
  { n, r, p }: { readonly n: number; readonly r: number; readonly p: number },
): Promise<Result<Buffer, Failure>> {
  if (passphrase.length < passphraseCharsMin)
    return Promise.resolve(err(failure('Usage', `a passphrase has ${passphraseCharsMin} characters or more`)));
  if (n > cost.n * 8 || r > cost.r * 2 || p > cost.p * 8)
    return Promise.resolve(err(failure('StorageCorrupt', 'the vault asks for more memory than a vault takes')));
  const settings = { N: n, r, p, maxmem: 256 * n * r };
  return new Promise((resolve) => {
    scrypt(passphrase.normalize('NFC'), Buffer.from(salt, 'base64'), keyBytes, settings, (error, key) =>
      resolve(error === null ? ok(key) : err(failure('StorageCorrupt', `the vault's key: ${error.message}`))),
    );
  });
}

function readKey(path: string): Result<Buffer, Failure> {
  const text = readPrivate(path);
  if (!text.ok) return text;
  const key = Buffer.from(text.value, 'base64');
  return key.length === keyBytes ? ok(key) : err(failure('StorageCorrupt', `${path} holds no key of a vault`));
}

function readPrivate(path: string): Result<string, Failure> {
  try {
    if ((statSync(path).mode & 0o077) !== 0)
      return err(failure('Forbidden', `${path} can be read by others`, { hint: `chmod 600 ${path}` }));
    return ok(readFileSync(path, 'utf8'));
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? String(error);
    return err(failure('StorageFailed', `${path}, which opens the vault, cannot be read: ${why}`));
  }
}

function writeWhole(path: string, text: string): Result<void, Failure> {
  try {
    const file = openSync(`${path}.new`, 'w', 0o600);
    try {
      writeSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(`${path}.new`, path);
    const folder = openSync(dirname(path), 'r');
    fsyncSync(folder);
    closeSync(folder);
    return ok(undefined);
  } catch (error) {
    return err(
      failure('StorageFailed', `${path} cannot be written: ${(error as NodeJS.ErrnoException).code ?? String(error)}`),
    );
  }
}
