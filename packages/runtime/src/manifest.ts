/**
 * `manifest.toml` of a bundle: parsed once, into what cannot be wrong.
 *
 * 1. Unknown keys are kept out of the way, not refused: a newer version may have more (A9).
 */
import { parse } from 'smol-toml';
import {
  type Failure,
  type JsonObject,
  type JsonValue,
  type Result,
  err,
  failure,
  isJsonObject,
  isName,
  ok,
} from '@runloop/core';
import { manifestBytesMax } from './limits.ts';

export type Ports = {
  readonly in: { readonly [port: string]: readonly string[] };
  readonly out: { readonly [port: string]: readonly string[] };
};

export type Backend = 'quickjs' | 'starlingmonkey';

export type Manifest = {
  readonly name: string;
  readonly version: string;
  readonly kind: 'component' | 'command';
  /** What runs the TypeScript of a component. */
  readonly backend: Backend;
  /** Path of the component inside the bundle. */
  readonly entry: string;
  readonly entryDigest?: string;
  readonly ports: Ports;
  readonly withSchema?: JsonObject;
  readonly capsFile: string;
  readonly tools?: { readonly path: string; readonly digest?: string };
};

const semver = /^\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.+-]+)?$/;
const insidePath = /^(?!\/)(?!.*(?:^|\/)\.\.?(?:\/|$))[A-Za-z0-9_./-]+$/;
const typePattern = /^(?:\*|bool|number|string|[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+\.v[1-9]\d*)$/;

export function parseManifest(text: string): Result<Manifest, Failure> {
  if (Buffer.byteLength(text) > manifestBytesMax) return refuse(`it has more than ${manifestBytesMax} bytes`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(JSON.stringify(parse(text)));
  } catch (error) {
    return refuse(error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error));
  }
  const root = object(parsed);
  const agent = object(root['agent']);
  const { name, version, kind = 'component' } = agent;
  if (typeof name !== 'string' || !isName(name)) return refuse('agent.name must match [a-z][a-z0-9_]{0,63}');
  if (typeof version !== 'string' || !semver.test(version))
    return refuse('agent.version must be a semantic version such as 0.1.0');
  if (kind !== 'component' && kind !== 'command')
    return refuse(`agent.kind "${typeof kind === 'string' ? kind : '?'}" is neither "component" nor "command"`);
  const backend = agent['backend'] ?? 'quickjs';
  if (backend !== 'quickjs' && backend !== 'starlingmonkey')
    return refuse(
      `agent.backend "${typeof backend === 'string' ? backend : '?'}" is neither "quickjs" nor "starlingmonkey"`,
    );
  const given = agent['entry_wasm'];
  const entryTable = object(given);
  const entry = typeof given === 'string' ? given : (entryTable['path'] ?? `bin/${name}.wasm`);
  if (typeof entry !== 'string' || !insidePath.test(entry))
    return refuse('agent.entry_wasm.path must be a path inside the bundle');
  const entryDigest = entryTable['blake3'];
  const capsFile = object(root['caps'])['file'] ?? 'policy.caps';
  if (typeof capsFile !== 'string' || !insidePath.test(capsFile))
    return refuse('caps.file must be a path inside the bundle');
  const tools = toolsArtifact(object(root['artifacts'])['tools']);
  if (!tools.ok) return tools;
  const ports = object(root['ports']);
  const inward = portTypes(ports['in'], 'in');
  if (!inward.ok) return inward;
  const outward = portTypes(ports['out'], 'out');
  if (!outward.ok) return outward;
  const withSchema = object(root['schemas'])['with'];
  return ok({
    name,
    version,
    kind,
    backend,
    entry,
    ...(typeof entryDigest === 'string' ? { entryDigest } : {}),
    ports: { in: inward.value, out: outward.value },
    ...(isJsonObject(withSchema) ? { withSchema } : {}),
    capsFile,
    ...(tools.value === undefined ? {} : { tools: tools.value }),
  });
}

function toolsArtifact(value: JsonValue | undefined): Result<Manifest['tools'], Failure> {
  if (value === undefined) return ok(undefined);
  const { path = 'tools.json', blake3, version = 1 } = object(value);
  if (typeof path !== 'string' || !insidePath.test(path))
    return refuse('artifacts.tools.path must be a path inside the bundle');
  if (version !== 1) return refuse('artifacts.tools.version must be 1');
  return ok(typeof blake3 === 'string' ? { path, digest: blake3 } : { path });
}

function refuse(why: string): Result<never, Failure> {
  return err(failure('InvalidBundle', `manifest.toml: ${why}`));
}

function object(value: unknown): { readonly [key: string]: JsonValue } {
  return isJsonObject(value) ? value : {};
}

function portTypes(value: unknown, side: string): Result<{ readonly [port: string]: readonly string[] }, Failure> {
  const ports: { [port: string]: readonly string[] } = {};
  for (const [port, types] of Object.entries(object(value))) {
    if (!isName(port)) return refuse(`ports.${side}.${port}: a port's name must match [a-z][a-z0-9_]{0,63}`);
    if (
      !Array.isArray(types) ||
      types.length === 0 ||
      !types.every((type) => typeof type === 'string' && typePattern.test(type))
    ) {
      return refuse(`ports.${side}.${port} must be a list of type strings such as "artifact.draft.email.v1", or "*"`);
    }
    ports[port] = types as readonly string[];
  }
  return ok(ports);
}
