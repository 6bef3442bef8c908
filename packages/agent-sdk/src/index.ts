/**
 * The one door of the agent SDK: define an agent, fail with a reason, test it in this process.
 *
 * `bindAgent` and `WorldImports` are for the entry that the build writes around an agent.
 */
export { defineAgent, bindAgent, type WorldFailure } from './define.ts';
export {
  type JsonValue,
  type JsonObject,
  type Request,
  type Output,
  type Answer,
  type RunInfo,
  type HostCall,
  type Host,
  type AgentDefinition,
  HostError,
  AgentFailure,
} from './types.ts';
export { type WorldImports } from './imports.ts';
export { runAgent, refuse, type HarnessOptions, type HarnessResult, type Responder } from './harness.ts';
