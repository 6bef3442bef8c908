/**
 * `tools.json` of a bundle, version 1: the tools that its agent may call, read strictly.
 *
 * 1. A key that is not known, a schema that is not taken, a template that is none: the bundle does not load.
 * 2. Secrets stand in header values of `http` alone, as `{{secret:id}}`.
 * 3. `retry`, `requires_confirmation`, `budget` and `observability` are read and cannot loosen what the kernel's table says
 *    of `tools.call`: once, and asked about.
 */
import {
  type Digest,
  type Failure,
  type JsonObject,
  type JsonValue,
  type Result,
  digestJson,
  err,
  failure,
  isJsonObject,
  ok,
  parseJson,
} from '@runloop/core';
import { templateFault } from '../exec/argv-template.ts';
import { netTarget } from '../net/net-grants.ts';
import { toolsFileBytesMax, toolsMax } from '../limits.ts';
import { schemaFault } from './schema-guard.ts';

export type Transport =
  | { readonly type: 'exec'; readonly command: string; readonly args: readonly string[] }
  | {
      readonly type: 'http';
      readonly method: string;
      readonly url: string;
      readonly headers: { readonly [name: string]: string };
    }
  | { readonly type: 'mcp'; readonly server: string; readonly tool: string };

export type Tool = {
  readonly id: string;
  readonly description: string;
  readonly transport: Transport;
  readonly inputSchema: JsonObject;
  readonly resultSchema: JsonObject;
  /** Ids of all secrets that it uses. */
  readonly secrets: readonly string[];
  /** Of its whole declaration. */
  readonly digest: Digest;
};

class Wrong extends Error {}

export function parseTools(text: string): Result<readonly Tool[], Failure> {
  try {
    if (text.length > toolsFileBytesMax) throw new Wrong(`it is larger than ${toolsFileBytesMax} bytes`);
    const parsed = parseJson(text);
    if (!parsed.ok) throw new Wrong('it is no JSON');
    const file = table(parsed.value, 'tools.json', ['version', 'tools']);
    if (file['version'] !== 1) throw new Wrong('version must be 1');
    const { tools } = file;
    if (!Array.isArray(tools)) throw new Wrong('"tools" must be a list');
    if (tools.length > toolsMax) throw new Wrong(`more than ${toolsMax} tools`);
    const read = (tools as readonly JsonValue[]).map(tool);
    const twice = read.find(({ id }, index) => read.findIndex((other) => other.id === id) !== index);
    if (twice !== undefined) throw new Wrong(`the tool ${twice.id} is there twice`);
    return ok(read);
  } catch (error) {
    if (error instanceof Wrong) return err(failure('InvalidBundle', `tools.json: ${error.message}`));
    throw error;
  }
}

const keys = [
  'id',
  'description',
  'transport',
  'input_schema',
  'result_schema',
  'capabilities',
  'secrets',
  'budget',
  'requires_confirmation',
  'retry',
  'observability',
];

function tool(value: JsonValue, index: number): Tool {
  const given = table(value, `tools[${index}]`, keys);
  const id = text(given['id'], `tools[${index}].id`);
  if (!/^[a-z][a-z0-9_.-]{0,63}$/.test(id)) throw new Wrong(`"${id.slice(0, 64)}" is no id of a tool`);
  const { requires_confirmation: confirm = true, retry = 'once' } = given;
  if (typeof confirm !== 'boolean') throw new Wrong(`${id}.requires_confirmation must be true or false`);
  if (retry !== 'pure' && retry !== 'idempotent' && retry !== 'once')
    throw new Wrong(`${id}.retry must be pure, idempotent or once`);
  const read = transport(given['transport'] ?? null, id);
  const named = read.type === 'http' ? Object.values(read.headers).flatMap(secretsIn) : [];
  const listed = given['secrets'] ?? [];
  if (!Array.isArray(listed) || !listed.every((one) => typeof one === 'string'))
    throw new Wrong(`${id}.secrets must be a list of ids`);
  return {
    id,
    description: text(given['description'], `${id}.description`),
    transport: read,
    inputSchema: schema(given['input_schema'], `${id}.input_schema`),
    resultSchema: schema(given['result_schema'], `${id}.result_schema`),
    secrets: [...new Set([...named, ...(listed as readonly string[])])],
    digest: digestJson(given),
  };
}

function transport(value: JsonValue, id: string): Transport {
  const kind = isJsonObject(value) ? value['kind'] : undefined;
  const where = `${id}.transport`;
  switch (kind) {
    case 'exec': {
      const given = table(value, where, ['kind', 'command', 'args']);
      const command = text(given['command'], `${where}.command`);
      if (!command.startsWith('/') || command.includes('\0'))
        throw new Wrong(`${where}.command must be an absolute path`);
      const args = given['args'] ?? [];
      if (!Array.isArray(args)) throw new Wrong(`${where}.args must be a list of texts`);
      const parts = (args as readonly JsonValue[]).map((part) => text(part, `${where}.args`));
      if (parts.some((part) => part.includes('{{'))) throw new Wrong(`${where}.args: a command line holds no secret`);
      const fault = parts.map(templateFault).find((one) => one !== undefined);
      if (fault !== undefined) throw new Wrong(`${where}.args: ${fault}`);
      return { type: 'exec', command, args: parts };
    }
    case 'http': {
      const given = table(value, where, ['kind', 'method', 'url', 'headers']);
      const url = text(given['url'], `${where}.url`);
      const origin = netTarget(url.replaceAll(/\{[a-z][a-z0-9_]*\}/g, 'x'));
      if ('fault' in origin || !/^https?:\/\/[^/{}]+(?:[/?]|$)/.test(url) || url.includes('{{'))
        throw new Wrong(`${where}.url must be an http URL with {names} after its host only`);
      const headers = given['headers'] ?? {};
      if (!isJsonObject(headers)) throw new Wrong(`${where}.headers must be a map of texts`);
      const read = Object.entries(headers).map(([name, part]) => [name.toLowerCase(), text(part, `${where}.headers`)]);
      const method = text(given['method'] ?? 'GET', `${where}.method`);
      return { type: 'http', method, url, headers: Object.fromEntries(read) as { readonly [name: string]: string } };
    }
    case 'mcp': {
      const given = table(value, where, ['kind', 'server', 'tool']);
      return {
        type: 'mcp',
        server: text(given['server'], `${where}.server`),
        tool: text(given['tool'], `${where}.tool`),
      };
    }
    default:
      throw new Wrong(`${where}.kind must be exec, http or mcp`);
  }
}

/** The ids of the secrets that a header's value names. */
export function secretsIn(value: string): string[] {
  return [...value.matchAll(/\{\{secret:([^{}]+)\}\}/g)].map((found) => found[1] ?? '');
}

function schema(value: JsonValue | undefined, where: string): JsonObject {
  const given = value ?? null;
  const fault = schemaFault(given);
  if (fault !== undefined || !isJsonObject(given)) throw new Wrong(`${where}: ${fault ?? ''}`);
  return given;
}

function table(value: JsonValue, where: string, known: readonly string[]): JsonObject {
  if (!isJsonObject(value)) throw new Wrong(`${where} must be a map`);
  const odd = Object.keys(value).find((key) => !known.includes(key));
  if (odd !== undefined) throw new Wrong(`${where}: "${odd.slice(0, 64)}" is no key; there are ${known.join(', ')}`);
  return value;
}

function text(value: JsonValue | undefined, where: string): string {
  if (typeof value !== 'string' || value === '') throw new Wrong(`${where} must be a text`);
  return value;
}
