/**
 * rlp bus, rlp drops, rlp models: the bus by hand, and what else the daemon can tell.
 */
import { isJsonObject, type JsonObject, parseJson, systemClock } from '@runloop/core';
import { type Arguments, type Command, number, text, type Tools } from '../command.ts';

export const commands: readonly Command[] = [
  {
    usage: 'bus sub <topic>',
    about: 'print what is published on a topic, one JSON line each, until Ctrl-C',
    options: { max: { type: 'number', about: 'leave after so many' } },
    examples: [['rlp bus sub "rlp/runs/*/events"', 'every event of every run']],
    run: subscribe,
  },
  {
    usage: 'bus pub <topic> <payload>',
    about: 'publish one JSON payload as observation.generic.v1',
    examples: [[`rlp bus pub notes/hello '{"text":"hi"}'`, 'says how many took it']],
    run: publish,
  },
  {
    usage: 'bus ping',
    about: 'time a round trip to the daemon',
    options: { n: { type: 'number', about: 'how many', default: 10 } },
    examples: [['rlp bus ping', '']],
    run: ping,
  },
  {
    usage: 'drops',
    about: 'messages that were dropped, by reason',
    examples: [['rlp drops', 'all zeros is how it should be']],
    run: drops,
  },
  { usage: 'models', about: 'models that can be called, and where', examples: [['rlp models', '']], run: models },
];

async function subscribe(args: Arguments, tools: Tools): Promise<number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const subscription = await client.value.subscribe(text(args, 'topic') ?? '');
  if (!subscription.ok) return tools.fail(subscription.error);
  await using messages = subscription.value;
  const stop = (): void => void messages[Symbol.asyncDispose]();
  tools.environment.interrupted.addEventListener('abort', stop, { once: true });
  let left = number(args, 'max') ?? Infinity;
  for await (const { topic, type, payload } of messages) {
    tools.screen.line(
      JSON.stringify({ topic, type, payload }, (_, value: unknown) =>
        typeof value === 'bigint'
          ? String(value)
          : value instanceof Uint8Array
            ? Buffer.from(value).toString('base64')
            : value,
      ),
    );
    left -= 1;
    if (left <= 0) break;
  }
  return 0;
}

async function publish(args: Arguments, tools: Tools): Promise<number> {
  const payload = parseJson(text(args, 'payload') ?? '');
  if (!payload.ok) return tools.fail({ code: 'Usage', message: `the payload is not JSON: ${payload.error}` });
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const done = await client.value.publish(text(args, 'topic') ?? '', {
    schemaId: 1,
    payload: payload.value,
    ack: true,
  });
  if (!done.ok) return tools.fail(done.error);
  if (tools.json) tools.screen.json(done.value);
  else tools.screen.line(`taken by ${done.value.delivered ?? 0}`);
  return 0;
}

async function ping(args: Arguments, tools: Tools): Promise<number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const took: number[] = [];
  for (let i = 0; i < Math.max(1, number(args, 'n') ?? 10); i += 1) {
    const began = systemClock.monotonicMs();
    const pong = await client.value.ping();
    if (!pong.ok) return tools.fail(pong.error);
    took.push(systemClock.monotonicMs() - began);
  }
  took.sort((a, b) => a - b);
  const at = (share: number): number => Math.round((took[Math.floor((took.length - 1) * share)] ?? 0) * 1000);
  if (tools.json) tools.screen.json({ n: took.length, p50_us: at(0.5), p99_us: at(0.99) });
  else tools.screen.line(`${took.length} round trips: p50 ${at(0.5)} µs, p99 ${at(0.99)} µs`);
  return 0;
}

async function drops(_args: Arguments, tools: Tools): Promise<number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const found = await client.value.call('daemon.status', {});
  if (!found.ok) return tools.fail(found.error);
  const bus = isJsonObject(found.value) && isJsonObject(found.value['bus']) ? found.value['bus'] : {};
  const counts = isJsonObject(bus['drops']) ? bus['drops'] : {};
  if (tools.json) tools.screen.json(counts);
  else
    tools.screen.table(
      ['reason', 'dropped'],
      Object.entries(counts).map(([reason, count]) => [reason, String(count)]),
    );
  return 0;
}

async function models(_args: Arguments, tools: Tools): Promise<number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const found = await client.value.call('model.list', {});
  if (!found.ok) return tools.fail(found.error);
  const list = ((found.value as JsonObject)['models'] ?? []) as readonly JsonObject[];
  if (tools.json) tools.screen.json(list);
  else if (list.length === 0)
    tools.screen.note(
      'no model provider is configured; agents use their own templates.\nadd one under models.broker.providers in the file that `rlp config path` names',
    );
  else
    tools.screen.table(
      ['asked for', 'provider', 'model', 'kind', 'clearance', 'state'],
      list.map((row) =>
        ['pattern', 'provider', 'model', 'kind', 'clearance', 'state'].map((key) =>
          typeof row[key] === 'string' ? row[key] : JSON.stringify(row[key] ?? '-'),
        ),
      ),
    );
  return 0;
}
