/** A2: a client in another language, written from docs/protocol.md alone, submits a run to the real daemon and sees it to its end. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Home } from './home.ts';
import { root } from './place.ts';

const script = join(root, 'examples/clients/python/runloop_client.py');
const python = ['python3', '/usr/bin/python3'].find((candidate) => {
  try {
    execFileSync(candidate, ['-c', 'import msgpack'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
});
if (python === undefined) process.stderr.write('skipped: no python3 with msgpack here\n');

test.skipIf(python === undefined)('A2: the Python client submits hello and follows it', async () => {
  await using home = new Home();
  await home.rlp('daemon', 'start');
  const call = (...args: string[]): string[] =>
    execFileSync(
      python ?? '',
      [
        script,
        '--socket',
        join(home.path, 'sock/rmp.sock'),
        '--token-file',
        join(home.path, 'operator.token'),
        ...args,
      ],
      { encoding: 'utf8' },
    )
      .trim()
      .split('\n');
  const [submitted = ''] = call('call', 'run.submit', JSON.stringify({ name: 'hello', params: { name: 'Python' } }));
  const { trace_id: trace } = JSON.parse(submitted) as { trace_id: string };
  const events = call('follow', trace).map((line) => JSON.parse(line) as { seq: number; kind: string });
  expect(events.map((event) => event.seq)).toEqual(events.map((_, index) => index + 1));
  expect(events[0]?.kind).toBe('run.accepted');
  expect(events.at(-1)?.kind).toBe('run.finished');
});
