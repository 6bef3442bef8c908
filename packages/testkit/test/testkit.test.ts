/** The simulated machine keeps its own promises. */
import { createServer } from 'node:net';
import { sleep } from '@runloop/core';
import { expect, test } from 'vitest';
import {
  leakedSince,
  memoryLog,
  memoryTransport,
  openResources,
  settle,
  simulatedClock,
  testRandom,
} from '../src/index.ts';

test('timers fire in order, at their own time, and not when disposed of', async () => {
  const clock = simulatedClock(1000);
  const seen: string[] = [];
  clock.after(20, () => seen.push(`b ${clock.nowMs()}`));
  clock.after(10, () => {
    seen.push(`a ${clock.nowMs()}`);
    clock.after(5, () => seen.push(`nested ${clock.nowMs()}`));
  });
  const gone = clock.after(15, () => seen.push('never'));
  gone[Symbol.dispose]();
  void sleep(clock, 20).then((how) => seen.push(how));
  await clock.advance(20);
  expect(seen).toEqual(['a 1010', 'nested 1015', 'b 1020', 'elapsed']);
  expect([clock.nowMs(), clock.monotonicMs(), clock.pending]).toEqual([1020, 20, 0]);
});

test('the same seed gives the same bytes', () => {
  expect(testRandom(7).bytes(40)).toEqual(testRandom(7).bytes(40));
  expect(testRandom(7).bytes(40)).not.toEqual(testRandom(8).bytes(40));
});

test('a transport carries bytes in order, fills up, drains and ends', async () => {
  const [left, right] = memoryTransport(10);
  const seen: string[] = [];
  right.onData((bytes) => seen.push(Buffer.from(bytes).toString()));
  right.onEnd(() => seen.push('end'));
  left.onDrain(() => seen.push('drain'));
  right.pause();
  expect([left.write(Buffer.from('12345')), left.write(Buffer.from('67890'))]).toEqual([true, false]);
  await settle();
  expect(seen).toEqual([]);
  left.close();
  right.resume();
  await settle();
  expect(seen).toEqual(['12345', '67890', 'drain', 'end']);
});

test('a leak is named, and gone once closed', async () => {
  const before = openResources();
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  expect(await leakedSince(before)).not.toEqual({});
  await new Promise((resolve) => server.close(resolve));
  expect(await leakedSince(before)).toEqual({});
});

test('a log keeps what was said', () => {
  const log = memoryLog();
  log.log('warn', 'careful', { a: 1 });
  expect(log.at('warn')).toEqual([{ level: 'warn', message: 'careful', fields: { a: 1 } }]);
});
