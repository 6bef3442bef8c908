/**
 * Tries what it is told to try and says what came of each: for `rlp agent verify`, and for tests that mean harm.
 *
 * A call that the host refuses is an entry of the answer. What ends the instance (`spin`, `grow`, `recurse`, `answer`) has
 * no entry: the host says what it was.
 */
import { AgentFailure, defineAgent, HostError, type Host, type JsonObject, type JsonValue } from '@runloop/agent';

type Try = { readonly try?: string; readonly op?: string; readonly args?: JsonObject; readonly count?: number };
type Called = { readonly [group: string]: { readonly [name: string]: (args: JsonObject) => JsonValue } };

function call(host: Host, op: string, args: JsonObject): JsonObject {
  const [group = '', name = ''] = op.split('.');
  const perform = (host as unknown as Called)[group]?.[name];
  if (perform === undefined) throw new AgentFailure(`there is no ${op}`, { retryable: false });
  try {
    return { op, ok: true, value: perform(args) };
  } catch (error) {
    if (error instanceof HostError) return { op, ok: false, code: error.code, message: error.message };
    throw error;
  }
}

/** What of the machine under the sandbox can be seen from here: names that should not lead anywhere. */
function ambient(): JsonObject {
  const names =
    'process require module Deno Bun WebAssembly fetch XMLHttpRequest WebSocket Worker importScripts std os';
  const seen = names.split(' ').filter((name) => Reflect.get(globalThis, name) !== undefined);
  const evaluate = (source: string): JsonValue => {
    try {
      const value = (Reflect.get(globalThis, 'eval') as (source: string) => unknown)(source);
      return value === undefined ? null : String(value).slice(0, 200);
    } catch (error) {
      return error instanceof Error ? error.name : 'thrown';
    }
  };
  const constructed = 'this.constructor.constructor("return typeof process")()';
  return { seen, constructed: evaluate(constructed), now: [Date.now(), Date.now()] };
}

function recurse(depth: number): number {
  return recurse(depth + 1) + 1;
}

function perform(host: Host, { try: what = 'call', op = '', args = {}, count = 1 }: Try): JsonValue {
  const kept: string[] = [];
  switch (what) {
    case 'call':
      return call(host, op, args);
    case 'calls': {
      let last: JsonObject = {};
      for (let i = 0; i < count; i += 1) last = call(host, op, args);
      return last;
    }
    case 'ambient':
      return ambient();
    case 'spin':
      for (;;) kept.length = 0;
    case 'grow':
      for (;;) kept.push('x'.repeat(65_536) + kept.length);
    case 'recurse':
      return recurse(0);
    case 'answer':
      return 'x'.repeat(count * 1024);
    case 'log':
      for (let i = 0; i < count; i += 1) host.log('info', `${i} `.padEnd(4096, 'x'));
      return count;
    case 'say':
      host.log('info', String(args['text']));
      return null;
    case 'fail':
      throw new AgentFailure(String(args['text']), { retryable: false });
    default:
      throw new AgentFailure(`there is no try "${what}"`, { retryable: false });
  }
}

export default defineAgent({
  handle(request, host) {
    const tries = (request.with['tries'] ?? []) as readonly Try[];
    return { out: [{ type: 'json.value.v1', value: tries.map((one) => perform(host, one)) }] };
  },
});
