/** A2: the client in Python, written from docs/protocol.md alone, does what that page says; and that page lists every schema. */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { builtinSchemas } from '@runloop/rmp';
import { expect, test } from 'vitest';
import { fixture } from './sessions-fixture.ts';

const root = join(import.meta.dirname, '../../..');
const script = join(root, 'examples/clients/python/runloop_client.py');

/** A Python that has msgpack; distributions put it beside their own interpreter. */
const python = ['python3', '/usr/bin/python3'].find((candidate) => {
  try {
    execFileSync(candidate, ['-c', 'import msgpack'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
});
if (python === undefined)
  process.stderr.write('skipped: no python3 with msgpack here, the Python client was not run\n');

test.skipIf(python === undefined)('A2: the Python client pings, calls, publishes, subscribes and follows', async () => {
  await using f = await fixture();
  const tokenFile = join(f.stateDir, 'operator.token');
  const run = async (...args: string[]): Promise<unknown[]> => {
    const { stdout } = await promisify(execFile)(python ?? '', [
      script,
      '--socket',
      f.path,
      '--token-file',
      tokenFile,
      ...args,
    ]);
    return stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
  };
  expect(await run('ping')).toEqual([{ answer: 'pong', kind: 'cli' }]);
  expect(await run('call', 'daemon.status', '{"a": [1, "two"]}')).toEqual([
    { op: 'daemon.status', args: { a: [1, 'two'] }, who: 'operator' },
  ]);
  const followed = (await run('follow', 'd'.repeat(32))) as { seq: number }[];
  expect(followed.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5]);
  const subscriber = spawn(python ?? '', [script, '--socket', f.path, 'sub', 'news/**', '--count', '1']);
  const lines = collect(subscriber);
  await new Promise((resolve) => subscriber.stderr.once('data', resolve));
  expect(await run('pub', 'news/today', '{"n": 1}')).toEqual([{ delivered: 1 }]);
  expect(JSON.parse(await lines)).toEqual({ topic: 'news/today', type: 'observation.generic.v1', payload: { n: 1 } });
  await expect(promisify(execFile)(python ?? '', [script, '--socket', f.path, 'call', 'run.list'])).rejects.toThrow(
    'Forbidden',
  );
});

function collect(child: ChildProcess): Promise<string> {
  let text = '';
  child.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  return new Promise((resolve) => child.once('close', () => resolve(text)));
}

test('A2: docs/protocol.md lists every schema of the registry', () => {
  const page = readFileSync(join(root, 'docs/protocol.md'), 'utf8');
  const missing = builtinSchemas.filter(
    ([id, type]) => !new RegExp(`\\| +${id} \\| \`${type.replaceAll('.', '\\.')}\``).test(page),
  );
  expect(missing).toEqual([]);
});
