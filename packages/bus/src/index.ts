/**
 * Topics, subscriptions, queues, dedupe, access control and counted drops, in memory.
 */
export {};
