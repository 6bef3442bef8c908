/**
 * Lays configuration layers over one another and remembers where each value came from.
 *
 * 1. Order, strongest first: flags, environment, user file, system file, defaults.
 * 2. An unknown key is an error that names the nearest; a wrong type is an error that names the key and the layer.
 * 3. Pure: the files have been read and parsed, the environment has been passed in.
 */
import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts';
import { failure, type Failure } from '../errors.ts';
import { type Result, err, ok } from '../result.ts';
import { nearest } from '../text.ts';
import { type Config, configKeys, type KeyRow, notFromEnvironment, notReadYet } from './schema.ts';

export type Layer = {
  readonly origin: string;
  readonly kind: 'flags' | 'environment' | 'user' | 'system';
  readonly value: JsonObject;
};
export type Resolved = {
  readonly config: Config;
  readonly origin: ReadonlyMap<string, string>;
  readonly warnings: readonly string[];
};

const rows: ReadonlyMap<string, KeyRow> = new Map(configKeys.map((row) => [row.key, row]));
const sections: ReadonlySet<string> = new Set(configKeys.flatMap((row) => prefixes(row.key)));
/** Old names: the key and the file name in `root_dir` that it used to be. */
const renamed: ReadonlyMap<string, string> = new Map([
  ['kb.ledger', 'kb.events_db'],
  ['kb.materialized', 'kb.view_db'],
]);

/** `layers` strongest first. */
export function resolveConfig(layers: readonly Layer[]): Result<Resolved, Failure> {
  const values = new Map<string, JsonValue>(configKeys.map((row) => [row.key, row.default]));
  const origin = new Map<string, string>(configKeys.map((row) => [row.key, 'default']));
  const warnings: string[] = [];
  for (const layer of [...layers].reverse()) {
    const problem = lay(layer, layer.value, '', (key, value) => {
      const now = renamed.get(key);
      if (now !== undefined) {
        warnings.push(`${layer.origin}: ${key} is an old name, write ${now}`);
        values.set(now, String(value).split('/').at(-1) ?? '');
        origin.set(now, layer.origin);
        return undefined;
      }
      const row = rows.get(key);
      if (row === undefined) return unknown(layer, key);
      if (key === 'policy' && layer.kind !== 'system') {
        return failure('InvalidConfig', `${layer.origin}: policy can only be set in the system's file`, {
          hint: 'set it in /etc/runloop/config.yaml',
        });
      }
      const wrong = misfit(row, value);
      if (wrong !== undefined)
        return failure('InvalidConfig', `${layer.origin}: ${key} must be ${wrong}, this is ${JSON.stringify(value)}`);
      if (notReadYet.includes(key) && JSON.stringify(value) !== JSON.stringify(row.default)) {
        warnings.push(`${layer.origin}: ${key} is set, but nothing reads it in this version`);
      }
      values.set(key, value);
      origin.set(key, layer.origin);
      return undefined;
    });
    if (problem !== undefined) return err(problem);
  }
  return ok({ config: assemble(values), origin, warnings });
}

/** The layer that `RUNLOOP__SECTION__KEY` variables make. Lists and numbers are JSON or, for lists, comma separated. */
export function environmentLayer(env: { readonly [name: string]: string | undefined }): Result<Layer, Failure> {
  const value: { [key: string]: JsonValue } = {};
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith('RUNLOOP__') || text === undefined) continue;
    const key = name.slice('RUNLOOP__'.length).toLowerCase().replaceAll('__', '.');
    if (notFromEnvironment.some((prefix) => key === prefix || key.startsWith(`${prefix}.`))) {
      return err(
        failure('InvalidConfig', `${name}: ${key} cannot be set by the environment`, {
          hint: 'set it in the configuration file',
        }),
      );
    }
    const row = rows.get(key);
    set(value, key.split('.'), row === undefined ? text : fromText(row, text));
  }
  return ok({ origin: 'environment', kind: 'environment', value });
}

function lay(
  layer: Layer,
  value: JsonObject,
  prefix: string,
  put: (key: string, value: JsonValue) => Failure | undefined,
): Failure | undefined {
  for (const [name, member] of Object.entries(value)) {
    const key = prefix === '' ? name : `${prefix}.${name}`;
    if (sections.has(key) && !rows.has(key)) {
      if (member === null) continue;
      if (!isJsonObject(member))
        return failure('InvalidConfig', `${layer.origin}: ${key} is a section, this is ${JSON.stringify(member)}`);
      const problem = lay(layer, member, key, put);
      if (problem !== undefined) return problem;
    } else {
      const problem = put(key, member);
      if (problem !== undefined) return problem;
    }
  }
  return undefined;
}

function unknown(layer: Layer, key: string): Failure {
  const near = nearest(key, [...rows.keys(), ...sections]);
  const hint = near === undefined ? 'all keys: rlp config show' : `did you mean ${near}?`;
  return failure('InvalidConfig', `${layer.origin}: unknown key ${key}`, { hint });
}

/** What the value should have been; undefined when it fits. */
function misfit(row: KeyRow, value: JsonValue): string | undefined {
  const { type } = row;
  if (typeof type !== 'string') return type.includes(String(value)) ? undefined : `one of ${type.join(', ')}`;
  switch (type) {
    case 'string':
      return typeof value === 'string' ? undefined : 'a string';
    case 'boolean':
      return typeof value === 'boolean' ? undefined : 'true or false';
    case 'integer':
      return typeof value === 'number' && Number.isSafeInteger(value) && value >= (row.min ?? 0)
        ? undefined
        : `a whole number of at least ${row.min ?? 0}`;
    case 'strings':
      return Array.isArray(value) && value.every((item) => typeof item === 'string') ? undefined : 'a list of strings';
    case 'list':
      return Array.isArray(value) ? undefined : 'a list';
    case 'object':
      return isJsonObject(value) ? undefined : 'a map';
  }
  return type satisfies never;
}

function fromText(row: KeyRow, text: string): JsonValue {
  if (row.type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  if (row.type === 'integer' && /^-?\d+$/.test(text)) return Number(text);
  if (row.type === 'strings') return text === '' ? [] : text.split(',').map((part) => part.trim());
  if (row.type === 'list' || row.type === 'object') {
    try {
      return JSON.parse(text) as JsonValue;
    } catch {
      return text;
    }
  }
  return text;
}

function assemble(values: ReadonlyMap<string, JsonValue>): Config {
  const config: { [key: string]: JsonValue } = {};
  for (const [key, value] of values) set(config, key.split('.'), value);
  return config as unknown as Config;
}

function set(target: { [key: string]: JsonValue }, path: readonly string[], value: JsonValue): void {
  let at = target;
  for (const name of path.slice(0, -1)) {
    if (!isJsonObject(at[name])) at[name] = {};
    at = at[name];
  }
  at[path.at(-1) ?? ''] = value;
}

function prefixes(key: string): string[] {
  const parts = key.split('.');
  return parts.slice(0, -1).map((_, index) => parts.slice(0, index + 1).join('.'));
}
