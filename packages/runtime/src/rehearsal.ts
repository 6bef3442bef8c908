/**
 * One run of a component for the sake of the machine code that it leaves, before its first real one.
 *
 * 1. It happens in a cell like every run (A7): with an empty request, no host, no clock but the epoch, and a deadline.
 * 2. What the agent answers is thrown away. No code, or too much of it, is no failure: cells then compile what they call.
 */
import type { Clock } from '@runloop/core';
import { CellProcess } from './cell-process.ts';
import { say } from './channel.ts';
import { hotCodeBytesMax, rehearsalMsMax } from './limits.ts';
import type { PreparedComponent } from './builder-job.ts';

export type HotCode = { readonly module: string; readonly code: Uint8Array };

export async function rehearse(
  deps: { readonly clock: Clock },
  program: string,
  cacheDir: string,
  prepared: PreparedComponent,
): Promise<HotCode | undefined> {
  const module = largest(prepared);
  if (module === undefined) return undefined;
  const cell = new CellProcess(program, cacheDir, prepared.key);
  const answered = Promise.withResolvers<Uint8Array | undefined>();
  using _deadline = deps.clock.after(rehearsalMsMax, () => answered.resolve(undefined));
  cell.listen({
    message: ({ schemaId, payload }) => {
      if (schemaId === say.response) answered.resolve(codeOf(payload['outcome']));
    },
    lost: () => answered.resolve(undefined),
  });
  cell.init(prepared, { rehearsal: module });
  cell.send(say.request, emptyRequest);
  const code = await answered.promise;
  cell.kill();
  await cell.closed;
  return code === undefined || code.length > hotCodeBytesMax ? undefined : { module, code };
}

const emptyRequest = {
  v: 1,
  request: '{"with":{},"inputs":{}}',
  info: '{"trace_id":"","run_id":"","node":"","attempt":1,"deadline_ms":0,"seed":"00"}',
  seed: '00',
  accepted_ms: 0,
  hostcalls_max: 0,
  log_bytes_max: 0,
  log_line_bytes_max: 0,
  args_bytes_max: 0,
  output_bytes_max: 0,
  fs: [],
  files_open_max: 0,
  time: false,
} as const;

/** Machine code is kept for one module: the one that an agent's time goes to. */
function largest({ files }: PreparedComponent): string | undefined {
  return files.layout.toSorted((a, b) => b.bytes - a.bytes)[0]?.name;
}

function codeOf(outcome: unknown): Uint8Array | undefined {
  const code = typeof outcome === 'object' && outcome !== null ? (outcome as { code?: unknown }).code : undefined;
  return code instanceof Uint8Array ? code : undefined;
}
