/** What the client keeps of its promises without a daemon: light to import, careful with tokens, clear when nobody is there. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { type Socket, connect as connectSocket, createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { systemClock, systemRandom } from '@runloop/core';
import { describe, expect, test } from 'vitest';
import { bufferedMessagesMax, connect, peerCredentials } from '../src/index.ts';
import { createMessageQueue } from '../src/subscription.ts';

const deps = { kind: 'sdk', name: 'test', clock: systemClock, random: systemRandom } as const;

async function listening(path: string, onSocket: (socket: Socket) => void): Promise<AsyncDisposable> {
  const server = createServer(onSocket);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return { [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())) };
}

describe('connect', () => {
  test('A12: nobody listens, and it says what to do', async () => {
    const path = join(tmpdir(), 'nobody-here.sock');
    const made = await connect({ ...deps, socketPath: path });
    expect(made).toMatchObject({ ok: false, error: { code: 'DaemonUnavailable' } });
    expect(!made.ok && made.error.message.includes(path)).toBe(true);
    expect(!made.ok && made.error.hint).toContain('rlp daemon start');
    expect(await connect({ ...deps, socketPath: 'x'.repeat(108) })).toMatchObject({ error: { code: 'InvalidConfig' } });
  });

  test('whoever answers with something else is no daemon', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'rl-'));
    const path = join(folder, 's');
    {
      await using _ = await listening(path, (socket) => {
        socket.on('error', () => socket.destroy());
        socket.resume();
        socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
      });
      expect(await connect({ ...deps, socketPath: path })).toMatchObject({ error: { code: 'DaemonUnavailable' } });
    }
    rmSync(folder, { recursive: true });
  });

  test('loads neither codec nor native code when imported', () => {
    const script = `
      const before = process.memoryUsage.rss();
      await import('@runloop/sdk');
      const { createRequire } = await import('node:module');
      const native = process.report.getReport().sharedObjects.filter((path) => path.includes('koffi'));
      const cached = Object.keys(createRequire(import.meta.url).cache).filter((path) => path.includes('koffi'));
      console.log(JSON.stringify([native.length, cached.length]));`;
    const out = execFileSync(process.execPath, ['--conditions=source', '--input-type=module', '-e', script], {
      cwd: join(import.meta.dirname, '../../daemon'),
      encoding: 'utf8',
    });
    expect(out.trim()).toBe('[0,0]');
  });
});

describe('peerCredentials', () => {
  test('pins the private descriptor: both ends are this process', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'rl-'));
    const path = join(folder, 's');
    const accepted = Promise.withResolvers<Socket>();
    {
      await using _ = await listening(path, accepted.resolve);
      const client = connectSocket(path);
      const server = await accepted.promise;
      const { uid, gid } = userInfo();
      const expected = { ok: true, value: { uid, gid, pid: process.pid } };
      expect(peerCredentials(client)).toEqual(expected);
      expect(peerCredentials(server)).toEqual(expected);
      client.destroy();
      server.destroy();
      expect(peerCredentials(client)).toMatchObject({ ok: false, error: { code: 'Internal' } });
    }
    rmSync(folder, { recursive: true });
  });
});

describe('a subscription', () => {
  test('A10: stops reading when full, reads on when half taken, gives all in order', async () => {
    const told: string[] = [];
    const queue = createMessageQueue<number>(
      () => told.push('full'),
      () => told.push('room'),
    );
    for (let i = 0; i < bufferedMessagesMax; i += 1) queue.put(i);
    expect(told).toEqual(['full']);
    queue.end();
    const got: number[] = [];
    for await (const one of queue) got.push(one);
    expect(got).toEqual(Array.from({ length: bufferedMessagesMax }, (_, i) => i));
    expect(told).toEqual(['full', 'room']);
  });
});
