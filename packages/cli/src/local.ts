/**
 * --local: a daemon of its own for this one command, on the same state directory, with the same sandbox and events.
 *
 * It takes the state directory's lock: where a daemon runs, the answer is to use that one (exit 75).
 */
import { join } from 'node:path';
import { failure, systemClock, systemRandom } from '@runloop/core';
import { type Client, connect } from '@runloop/sdk';
import { readFileSync } from 'node:fs';
import type { Tools } from './command.ts';
import { processId } from './environment.ts';

export async function runLocal(tools: Tools, use: (client: Client) => Promise<number>): Promise<number> {
  const config = await tools.config();
  if (!config.ok) return tools.fail(config.error);
  const { openDaemon, checkoutRoot, version } = await import('@runloop/daemon');
  const { peerCredentials } = await import('@runloop/sdk');
  const { root, env } = tools.environment;
  const stop = Promise.withResolvers<void>();
  const opened = await openDaemon(
    {
      clock: systemClock,
      random: systemRandom,
      peer: peerCredentials,
      env,
      rssBytes: () => 0,
      loopDelayMs: () => 0,
      stopRequested: () => stop.resolve(),
    },
    {
      root,
      config: {
        ...config.value.config,
        runtime: { ...config.value.config.runtime, socket_path: '', sockets_dir: join(root, 'sock') },
      },
      origin: config.value.origin,
      version,
      checkout: checkoutRoot(import.meta.dirname),
      mode: 'user',
      uid: userId(),
      pid: processId,
      spares: 0,
    },
  );
  if (!opened.ok) {
    if (opened.error.code !== 'Busy') return tools.fail(opened.error);
    return tools.fail(
      failure('Busy', opened.error.message, { hint: 'leave --local out: the daemon that runs will take it' }),
    );
  }
  await using daemon = opened.value;
  const token = readFileSync(join(root, 'operator.token'), 'utf8').trim();
  const client = await connect({
    socketPath: daemon.home.socket,
    kind: 'cli',
    name: 'rlp',
    token,
    clock: systemClock,
    random: systemRandom,
  });
  if (!client.ok) return tools.fail(client.error);
  await using session = client.value;
  return await use(session);
}

function userId(): number {
  return process.getuid?.() ?? 0;
}
