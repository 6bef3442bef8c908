/**
 * YAML to IR, validation with positions, plan, the engine step, replay comparison. Pure.
 */
export {};
