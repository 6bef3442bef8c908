/**
 * A call to the daemon that takes a while: on a terminal it says how far it is.
 */
import { type Failure, isJsonObject, type JsonObject, type JsonValue, type Result, systemClock } from '@runloop/core';
import type { Tools } from './command.ts';

/** How often it is asked. */
const askMs = 300;
const longMs = 3_600_000;

export async function longCall(tools: Tools, op: string, args: JsonObject): Promise<Result<JsonValue, Failure>> {
  const client = await tools.connect();
  if (!client.ok) return client;
  const began = systemClock.monotonicMs();
  let timer: Disposable | undefined;
  let isOver = false;
  const look = async (): Promise<void> => {
    const found = await client.value.call('kb.progress', {});
    if (isOver) return;
    if (found.ok && isJsonObject(found.value) && typeof found.value['what'] === 'string') {
      const { what, done, total } = found.value;
      const rate = Math.round((Number(done) / Math.max(1, systemClock.monotonicMs() - began)) * 1_000);
      tools.screen.progress(`${what}: ${Number(done)} of ${Number(total)}, ${rate}/s`);
    }
    timer = systemClock.after(askMs, () => void look());
  };
  timer = systemClock.after(askMs, () => void look());
  try {
    return await client.value.call(op, args, { timeoutMs: longMs });
  } finally {
    isOver = true;
    timer[Symbol.dispose]();
    tools.screen.progress('');
  }
}
