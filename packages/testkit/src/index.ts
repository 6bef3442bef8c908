/**
 * What tests share: a simulated clock, seeded randomness, a log in memory, a transport in memory, a leak check.
 *
 * Nothing here stands in for our own code; these are the machine's ports, made to obey.
 */
export { type SimulatedClock, simulatedClock, settle } from './clock.ts';
export { type LogLine, type MemoryLog, memoryLog } from './log.ts';
export { type TransportEnd, memoryTransport } from './transport.ts';
export { type Leaks, openResources, leakedSince } from './leaks.ts';
export { testRandom } from './random.ts';
