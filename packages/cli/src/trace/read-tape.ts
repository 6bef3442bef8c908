/**
 * Reads a run whole from the daemon: every event of its tape, and the sizes of the blobs that it names.
 */
import { type Failure, ok, type Result, type RunEvent } from '@runloop/core';
import type { Client } from '@runloop/sdk';

export type TapeEvent = RunEvent & { readonly id: number };
export type Tape = { readonly events: readonly TapeEvent[]; readonly bytes: ReadonlyMap<string, number> };

export async function readTape(client: Client, traceId: string): Promise<Result<Tape, Failure>> {
  const events: TapeEvent[] = [];
  const bytes = new Map<string, number>();
  for (;;) {
    const answer = await client.call('run.tape', { trace_id: traceId, after_id: events.at(-1)?.id ?? 0 });
    if (!answer.ok) return answer;
    const page = answer.value as unknown as {
      readonly events: readonly TapeEvent[];
      readonly bytes: { readonly [digest: string]: number | null };
    };
    if (page.events.length === 0) return ok({ events, bytes });
    events.push(...page.events);
    for (const [digest, size] of Object.entries(page.bytes)) if (size !== null) bytes.set(digest, size);
  }
}
