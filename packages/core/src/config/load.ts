/**
 * Reads the configuration's files through a port and lays the layers.
 *
 * No file is read from the working directory. A file that is not there is no layer.
 */
import { failure, type Failure } from '../errors.ts';
import { isJsonObject } from '../json.ts';
import { err, ok, type Result } from '../result.ts';
import { environmentLayer, type Layer, resolveConfig, type Resolved } from './layers.ts';

export type ConfigSources = {
  readonly env: { readonly [name: string]: string | undefined };
  readonly userFile: string;
  readonly systemFile: string;
  /** The text of a file, or undefined when there is none. */
  readonly readText: (path: string) => string | undefined;
  /** Parses YAML; throws with a sentence that says what is wrong. */
  readonly parse: (text: string) => unknown;
  readonly flags?: Layer;
};

export function loadConfig(sources: ConfigSources): Result<Resolved, Failure> {
  const env = environmentLayer(sources.env);
  if (!env.ok) return env;
  const layers: Layer[] = sources.flags === undefined ? [env.value] : [sources.flags, env.value];
  for (const [kind, path] of [
    ['user', sources.userFile],
    ['system', sources.systemFile],
  ] as const) {
    const layer = fileLayer(sources, kind, path);
    if (!layer.ok) return layer;
    if (layer.value !== undefined) layers.push(layer.value);
  }
  return resolveConfig(layers);
}

function fileLayer(sources: ConfigSources, kind: 'user' | 'system', path: string): Result<Layer | undefined, Failure> {
  try {
    const text = sources.readText(path);
    // An empty file, or one of comments alone, says nothing.
    if (text === undefined || text.split('\n').every((line) => /^\s*(#|$)/.test(line))) return ok(undefined);
    const value = sources.parse(text) ?? {};
    if (!isJsonObject(value)) return err(failure('InvalidConfig', `${path}: the file must be a map of sections`));
    return ok({ origin: path, kind, value });
  } catch (error) {
    return err(
      failure(
        'InvalidConfig',
        `${path}: ${error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)}`,
      ),
    );
  }
}
