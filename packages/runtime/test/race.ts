/** Opens files of a granted directory while another process swaps what lies there; counts what came of it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isJsonObject, type JsonObject } from '@runloop/core';
import { createFiles } from '../src/index.ts';

export type RaceReport = {
  readonly tries: number;
  /** Answers that held the secret, or changes outside. */
  readonly escapes: readonly string[];
  /** How often each operation was done, and why it was refused. */
  readonly outcomes: { readonly [what: string]: number };
};

const secret = 'SECRET';
const secrets = ['f', 'g', 'other'];

export async function race(tries: number): Promise<RaceReport> {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'rl-race-')));
  const [granted, outside, parts] = ['granted', 'outside', 'parts'].map((name) => join(root, name)) as [
    string,
    string,
    string,
  ];
  for (const dir of [granted, outside, parts, join(granted, 'd')]) mkdirSync(dir);
  for (const name of secrets) writeFileSync(join(outside, name), secret);
  symlinkSync(outside, join(parts, 'link'));
  const swapper = spawn(process.execPath, ['--conditions=source', join(import.meta.dirname, 'race-swapper.ts'), root], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    await once(swapper.stdout, 'data');
    const escapes: string[] = [];
    const outcomes: { [what: string]: number } = {};
    const files = createFiles({ never: [], commandDirs: [] });
    const grants = [{ path: granted, write: true }];
    const path = join(granted, 'd/f');
    const calls: readonly (readonly [string, JsonObject])[] = [
      ['fs.read', { path }],
      ['fs.write', { path, mode: 'at', offset: 0, data: 'written' }],
      ['fs.read', { path }],
      ['fs.write', { path, mode: 'truncate', offset: 0 }],
      ['fs.read', { path }],
      ['fs.list', { path: join(granted, 'd') }],
      ['fs.write', { path, mode: 'replace', data: 'written' }],
      ['fs.remove', { path: join(granted, 'd/g') }],
      ['fs.write', { path: join(granted, 'd/g'), mode: 'create', data: 'written' }],
      ['fs.rename', { from: path, to: join(granted, 'd/g') }],
    ];
    let done = 0;
    const worker = async (): Promise<void> => {
      for (let i = done; i < tries; i = done) {
        done += 1;
        const [op, args] = calls[i % calls.length] ?? ['', {}];
        const result = await files.perform(op, args, { id: `c${i}`, approved: false, repeated: false, grants });
        const seen = result.ok ? result.value : null;
        if (isJsonObject(seen) && seen['data'] === secret) escapes.push(`${op} read the secret at try ${i}`);
        const what = `${op} ${result.ok ? 'done' : (/\(([a-z-]+)\)$/.exec(result.message)?.[1] ?? result.code)}`;
        outcomes[what] = (outcomes[what] ?? 0) + 1;
      }
    };
    await Promise.all([worker(), worker()]);
    swapper.kill('SIGKILL');
    await once(swapper, 'exit');
    for (const name of secrets)
      if (!existsSync(join(outside, name)) || readFileSync(join(outside, name), 'utf8') !== secret)
        escapes.push(`outside/${name} was changed`);
    if (readdirSync(outside).join() !== secrets.join()) escapes.push(`outside holds ${readdirSync(outside).join()}`);
    return { tries: done, escapes, outcomes };
  } finally {
    swapper.kill('SIGKILL');
    rmSync(root, { recursive: true, force: true });
  }
}
