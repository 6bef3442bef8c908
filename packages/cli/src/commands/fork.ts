/**
 * rlp fork: a new run that takes what came before one node from the tape of another, and runs the rest live.
 */
import {
  err,
  failure,
  type Failure,
  type JsonObject,
  type JsonValue,
  newTraceId,
  ok,
  type Result,
  systemRandom,
} from '@runloop/core';
import { type Arguments, type Command, flag, text, texts, type Tools, traceOf } from '../command.ts';
import { traceOut, valueOf, watch, watching } from './run.ts';

export const commands: readonly Command[] = [
  {
    usage: 'fork <trace>',
    about: 'a new run: what came before a node from the tape of another, the rest live and asked about anew',
    options: {
      at: { type: 'string', about: 'the first node that runs live' },
      with: { type: 'array', about: 'another setting of that node, name=value' },
      agent: { type: 'array', about: 'another agent for a node, node=agent' },
      model: { type: 'string', about: 'call this model, whatever the agents ask for' },
      'on-confirm': {
        type: 'string',
        about: 'what an unanswered question means',
        choices: ['wait', 'deny'],
        default: 'wait',
      },
      detach: { type: 'boolean', about: 'print the trace id and leave' },
      ...watching,
    },
    examples: [
      ['rlp fork 4f2c… --at draft', 'draft once more, from the same contacts'],
      ['rlp fork 4f2c… --at draft --with tone=dry --model gpt-5', 'and see what another tone and model make of it'],
      ['rlp diff 4f2c… 9a01…', 'then: where the two part'],
    ],
    run,
  },
];

async function run(args: Arguments, tools: Tools): Promise<number> {
  const source = traceOf(args);
  if (!source.ok) return tools.fail(source.error);
  const at = text(args, 'at');
  if (at === undefined)
    return tools.fail(
      failure('Usage', 'rlp fork needs the node at which to begin', {
        hint: 'see its nodes: rlp show <trace>; then --at',
      }),
    );
  const settings = pairs(args, 'with', valueOf);
  if (!settings.ok) return tools.fail(settings.error);
  const agents = pairs(args, 'agent', (name) => name);
  if (!agents.ok) return tools.fail(agents.error);
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const trace = await traceOut(args, tools);
  if (!trace.ok) return tools.fail(trace.error);
  const traceId = newTraceId(systemRandom);
  const request = {
    trace_id: source.value,
    at,
    with: settings.value,
    agents: agents.value,
    model: text(args, 'model') ?? null,
    on_confirm: text(args, 'on-confirm') ?? 'wait',
  };
  const forked = await client.value.call('run.fork', request, { traceId, timeoutMs: 120_000 });
  if (!forked.ok) return tools.fail(forked.error);
  if (!flag(args, 'detach')) return watch(client.value, traceId, trace.value, args, tools, true);
  if (tools.json) tools.screen.json(forked.value);
  else tools.screen.line(traceId);
  return 0;
}

function pairs(args: Arguments, name: string, read: (value: string) => JsonValue): Result<JsonObject, Failure> {
  const found: { [key: string]: JsonValue } = {};
  for (const pair of texts(args, name)) {
    const at = pair.indexOf('=');
    if (at < 1) return err(failure('Usage', `--${name} takes name=value, this is "${pair}"`));
    found[pair.slice(0, at)] = read(pair.slice(at + 1));
  }
  return ok(found);
}
