/** Reads what it is told to read, asks the model what to do, and does whatever it says, until it says nothing more. */
import { AgentFailure, defineAgent, HostError, type Host, type JsonObject, type JsonValue } from '@runloop/agent';

const turnsMax = 12;

function perform(host: Host, op: string, args: JsonObject): JsonValue {
  const [group = '', name = ''] = op.split('.');
  const calls = (host as unknown as { [group: string]: { [name: string]: (args: JsonObject) => JsonValue } })[group];
  if (calls?.[name] === undefined) throw new AgentFailure(`there is no ${op}`, { retryable: false });
  try {
    return calls[name](args);
  } catch (error) {
    return error instanceof HostError ? `${error.code}: ${error.message}` : String(error);
  }
}

export default defineAgent({
  handle(request, host) {
    const read = (request.with['read'] ?? []) as readonly { readonly op: string; readonly args: JsonObject }[];
    const seen = read.map(({ op, args }) => perform(host, op, args));
    const messages: JsonObject[] = [{ role: 'user', content: JSON.stringify([request.inputs, seen]) }];
    for (let turn = 0; turn < turnsMax; turn += 1) {
      const answer = host.model.complete({ messages }) as { readonly text: string };
      const order = JSON.parse(answer.text) as { readonly op?: string; readonly args?: JsonObject };
      if (order.op === undefined) break;
      if (order.op === 'fail') throw new AgentFailure(String(order.args?.['reason']), { retryable: false });
      const done = perform(host, order.op, order.args ?? {});
      messages.push({ role: 'assistant', content: answer.text }, { role: 'user', content: JSON.stringify(done) });
    }
    return { out: [{ type: 'json.value.v1', value: messages }] };
  },
});
