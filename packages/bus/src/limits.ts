/**
 * What may grow on the bus, and how far. Those that an operator may set are defaults; the rest are law.
 */
export type BusLimits = {
  /** Frames and bytes that wait for one subscriber. */
  readonly queueFramesMax: number;
  readonly queueBytesMax: number;
  /** How long a publisher is held back for a full queue, once. */
  readonly sendTimeoutMs: number;
  /** How long a queue may stay full before its subscriber is disconnected. */
  readonly slowConsumerMs: number;
  /** Keys that one topic remembers to know a duplicate. */
  readonly dedupeKeysMax: number;
  /** The largest ttl that a frame may ask for; a key is remembered at least as long. */
  readonly ttlMsMax: number;
  readonly subscriptionsMax: number;
  /** Topics whose route and duplicates are remembered. */
  readonly topicsMax: number;
  /** Reply topics of one session that somebody may publish to at a time. */
  readonly repliesMax: number;
  /** Pairs of reason and topic whose drops are counted apart. */
  readonly dropKeysMax: number;
  /** Each such pair is told at most once in this time. */
  readonly dropNoticeMs: number;
};

export const defaultBusLimits: BusLimits = {
  queueFramesMax: 4096,
  queueBytesMax: 16 * 1024 * 1024,
  sendTimeoutMs: 250,
  slowConsumerMs: 5000,
  dedupeKeysMax: 65_536,
  ttlMsMax: 3_600_000,
  subscriptionsMax: 256,
  topicsMax: 1024,
  repliesMax: 1024,
  dropKeysMax: 256,
  dropNoticeMs: 1000,
};

export const topicSegmentsMax = 16;
/** A frame made further in the future than this is refused. */
export const futureMsMax = 60_000;
