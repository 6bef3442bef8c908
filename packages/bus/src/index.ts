/**
 * Topics, subscriptions, queues, dedupe, access control and counted drops, in memory. No sockets.
 */
export {
  type Bus,
  type BusDeps,
  type BusStats,
  type OwnMessage,
  type PublishOutcome,
  type Seat,
  createBus,
} from './bus.ts';
export { type Outlet, type Parcel } from './queue.ts';
export { type Action, type Decision, type Principal, clientGrants, decide } from './access.ts';
export { type DropNotice, type DropReason } from './drops.ts';
export { DedupeTable } from './dedupe.ts';
export { type Pattern, isTopic, matches, parsePattern } from './topics.ts';
export { type BusLimits, defaultBusLimits, futureMsMax, topicSegmentsMax } from './limits.ts';
