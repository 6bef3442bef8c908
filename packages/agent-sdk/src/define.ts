/**
 * `defineAgent` and what the build's entry makes of it.
 *
 * 1. Whatever `handle` throws arrives as a failure with its message, never as a trap.
 * 2. The answer is checked here, where the author can be told what is wrong with it.
 */
import { type WorldImports, hostOver, wholeText } from './imports.ts';
import { installPolyfills } from './polyfills.ts';
import { type AgentDefinition, type Answer, AgentFailure, HostError, type Request } from './types.ts';

/** Names the type of an agent; the module's default export. */
export function defineAgent(definition: AgentDefinition): AgentDefinition {
  return definition;
}

/** The `failure` record of the world. */
export type WorldFailure = { readonly retryable: boolean; readonly reason: string };

/** The world's `handle` over a definition; throws a `WorldFailure`, which the binding makes the error case. */
export function bindAgent(definition: AgentDefinition, world: WorldImports): (request: string) => string {
  return (request) => {
    try {
      const host = hostOver(world);
      installPolyfills(globalThis, { log: (level, text) => host.log(level, text), seed: host.run.seed });
      const answer = definition.handle(JSON.parse(request) as Request, host);
      checkAnswer(answer);
      return JSON.stringify(answer);
    } catch (error) {
      const failed = toWorldFailure(error);
      throw { ...failed, reason: wholeText(failed.reason) } satisfies WorldFailure;
    }
  };
}

function checkAnswer(answer: Answer): void {
  if (typeof answer !== 'object' || answer === null || 'then' in answer) {
    throw new AgentFailure('handle must return an object of ports, at once: it cannot be async', { retryable: false });
  }
  for (const [port, values] of Object.entries(answer)) {
    if (
      !Array.isArray(values) ||
      values.some((value) => typeof value?.type !== 'string' || value.value === undefined)
    ) {
      throw new AgentFailure(`port "${port}" must hold a list of {type, value}`, { retryable: false });
    }
  }
}

function toWorldFailure(error: unknown): WorldFailure {
  if (error instanceof AgentFailure) return { retryable: error.retryable, reason: error.message };
  if (error instanceof HostError) return { retryable: error.retryable, reason: `${error.code}: ${error.message}` };
  if (error instanceof Error) return { retryable: false, reason: `${error.name}: ${error.message}` };
  return { retryable: false, reason: String(error) };
}
