/**
 * Where the socket may stand, and what is done about one that stands there already.
 *
 * 1. Nothing is bound, made or removed before the path is known to be short enough.
 * 2. The directory must be ours and closed to others: one that exists is never changed.
 * 3. A socket that nobody listens on is removed; one that somebody listens on, and anything else, is left alone.
 */
import { lstat, mkdir, stat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { type Failure, type Result, err, failure, ok, socketPathBytesMax } from '@runloop/core';

export async function prepareSocketPath(path: string, mode: 'user' | 'system'): Promise<Result<void, Failure>> {
  const bytes = Buffer.byteLength(path);
  if (bytes > socketPathBytesMax) {
    const message = `the socket path is ${bytes} bytes long, at most ${socketPathBytesMax} are possible: ${path}`;
    return err(failure('InvalidConfig', message, { hint: 'Set runtime.socket_path to something shorter.' }));
  }
  const folder = dirname(path);
  try {
    await mkdir(folder, { recursive: true, mode: mode === 'user' ? 0o700 : 0o750 });
    const { mode: bits } = await stat(folder);
    const tooOpen = bits & (mode === 'user' ? 0o077 : 0o027);
    if (tooOpen !== 0) {
      const wanted = mode === 'user' ? '700' : '750';
      const message = `the socket's directory is open to others (mode ${(bits & 0o777).toString(8)}): ${folder}`;
      return err(failure('InvalidConfig', message, { hint: `chmod ${wanted} ${folder}, or set runtime.sockets_dir.` }));
    }
    return await clear(path);
  } catch (error) {
    return err(failure('InvalidConfig', `the socket cannot stand at ${path}: ${String(error)}`));
  }
}

async function clear(path: string): Promise<Result<void, Failure>> {
  const there = await lstat(path).catch(() => undefined);
  if (there === undefined) return ok(undefined);
  if (!there.isSocket())
    return err(failure('InvalidConfig', `there is something else where the socket should be: ${path}`));
  if (await isListening(path)) {
    const hint = 'Stop it first, or use it.';
    return err(failure('Busy', `another daemon listens on ${path}`, { hint }));
  }
  await unlink(path);
  return ok(undefined);
}

function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}
