/**
 * What the command line knows of the process it runs in: the one file of this package that touches it.
 */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { errorTable, failure, type Failure, loadConfig, type Resolved, type Result, err } from '@runloop/core';

export type Streams = {
  readonly out: NodeJS.WriteStream;
  readonly err: NodeJS.WriteStream;
  readonly in: NodeJS.ReadStream;
};

export type Environment = {
  readonly root: string;
  /** RUNLOOP_HOME is set: no socket elsewhere is tried. */
  readonly rootGiven: boolean;
  readonly env: { readonly [name: string]: string | undefined };
  readonly cwd: string;
  readonly streams: Streams;
  readonly colour: boolean;
  /** Columns of the terminal, or of COLUMNS. */
  readonly width: number;
  /** Lines of the terminal. */
  readonly height: number;
  /** Aborted by the first Ctrl-C; the second one leaves at once. */
  readonly interrupted: AbortSignal;
};

export function readEnvironment(): Environment {
  const { env } = process;
  const given = env['RUNLOOP_HOME'];
  const interrupted = new AbortController();
  process.on('SIGINT', () => {
    if (interrupted.signal.aborted) process.exit(130);
    interrupted.abort();
  });
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      // Whoever read this has enough: `rlp runs | head`.
      if (error.code === 'EPIPE') process.exit(0);
      if (error.code === 'ENOSPC' || error.code === 'EIO') {
        // To a file on a full disk; standard error may be another one.
        if (stream === process.stdout) process.stderr.write(`rlp: the output cannot be written: ${error.message}\n`);
        process.exit(errorTable.StorageFull.exit);
      }
      throw error;
    });
  }
  const out = process.stdout;
  const forced = env['FORCE_COLOR'] !== undefined && env['FORCE_COLOR'] !== '0';
  const refused = env['NO_COLOR'] !== undefined && env['NO_COLOR'] !== '';
  return {
    root: given !== undefined && given !== '' ? given : join(homedir(), '.runloop'),
    rootGiven: given !== undefined && given !== '',
    env,
    cwd: process.cwd(),
    streams: { out, err: process.stderr, in: process.stdin },
    colour: forced || (!refused && out.isTTY === true && env['TERM'] !== 'dumb'),
    width: Number(env['COLUMNS']) || out.columns || 80,
    height: out.rows ?? 24,
    interrupted: interrupted.signal,
  };
}

/** The configuration as this user has it; js-yaml is loaded only where there is a file. */
export async function readConfig(environment: Environment): Promise<Result<Resolved, Failure>> {
  const userFile = join(environment.root, 'config.yaml');
  const systemFile = '/etc/runloop/config.yaml';
  const texts = new Map<string, string | undefined>();
  for (const path of [userFile, systemFile]) {
    const text = readText(path);
    if (!text.ok) return text;
    texts.set(path, text.value);
  }
  const parse = [...texts.values()].every((text) => text === undefined) ? () => ({}) : (await import('js-yaml')).load;
  return loadConfig({
    env: environment.env,
    userFile,
    systemFile,
    readText: (path) => texts.get(path),
    parse: (text) => parse(text),
  });
}

function readText(path: string): Result<string | undefined, Failure> {
  try {
    return { ok: true, value: readFileSync(path, 'utf8') };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return { ok: true, value: undefined };
    return err(failure('InvalidConfig', `${path} cannot be read: ${code ?? String(error)}`));
  }
}

export const nodePath: string = process.execPath;
export const processId: number = process.pid;
