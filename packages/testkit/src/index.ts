/**
 * Simulated clock, seeded random, memory transport, fake provider, leak check.
 */
export {};
