/** The clocks of wasi in a cell: virtual without the grant, asked of the host with it. */
import { expect, test } from 'vitest';
import type { Pollable } from '../src/cell/streams.ts';
import { wasiImports } from '../src/cell/wasi.ts';

const second = 1_000_000_000n;

type Clocks = {
  readonly now: () => bigint | Promise<bigint>;
  readonly subscribeDuration: (ns: bigint) => Pollable | Promise<Pollable>;
};

/** A host whose clock goes on by what is slept, and a little with each look at it. */
function instance(time: boolean): {
  readonly asked: string[];
  readonly clocks: Clocks;
  readonly wall: () => unknown;
  readonly poll: (list: readonly Pollable[]) => Uint32Array | Promise<Uint32Array>;
} {
  const asked: string[] = [];
  let ms = 5000;
  const imports = wasiImports(() => ({
    seed: new Uint8Array(32),
    acceptedMs: 1000,
    fs: [],
    stdin: { bytes: new Uint8Array(), at: 0 },
    filesOpenMax: 0,
    time,
    write: () => undefined,
    ask: async (op, args) => {
      asked.push(`${op} ${JSON.stringify(args)}`);
      ms += op === 'clock.sleep' ? (args['ms'] as number) : 0.5;
      return { wall_ms: 1_000_000 + Math.floor(ms), monotonic_ms: ms };
    },
  }));
  return {
    asked,
    clocks: imports['wasi:clocks/monotonic-clock'] as unknown as Clocks,
    wall: imports['wasi:clocks/wall-clock']?.['now'] as () => unknown,
    poll: imports['wasi:io/poll']?.['poll'] as never,
  };
}

test('virtual: a sleep takes no time, and nobody is asked', async () => {
  const { asked, clocks, poll, wall } = instance(false);
  const [long, short] = [await clocks.subscribeDuration(2n * second), await clocks.subscribeDuration(second)];
  expect([...(await poll([long, short]))]).toEqual([1]);
  expect(await clocks.now()).toBe(second);
  expect(await wall()).toEqual({ seconds: 2n, nanoseconds: 0 });
  expect(await long.ready()).toBe(false);
  await long.block();
  expect(await clocks.now()).toBe(2n * second);
  expect(asked).toEqual([]);
});

test('real: every look and every sleep is asked of the host', async () => {
  const { asked, clocks, poll, wall } = instance(true);
  const [long, short] = [await clocks.subscribeDuration(2n * second), await clocks.subscribeDuration(second)];
  expect([...(await poll([long, short]))]).toEqual([1]);
  expect(asked).toEqual(['clock.now {}', 'clock.now {}', 'clock.sleep {"ms":1000}']);
  expect(await long.ready()).toBe(false);
  await long.block();
  expect(await long.ready()).toBe(true);
  expect(await clocks.now()).toBeGreaterThanOrEqual(long.dueNs);
  expect(await wall()).toMatchObject({ seconds: 1007n });
});

test('real: a sleep of many hours is as many sleeps as the host takes at once', async () => {
  const { asked, clocks } = instance(true);
  await (await clocks.subscribeDuration(9000n * second)).block();
  expect(asked.slice(1).map((line) => line.replace(/\D/g, ''))).toEqual(['3600000', '3600000', '1800000']);
});
