/** Makes the model calls that `with.asks` holds, `with.times` times over, and tells what came of each. */
import { defineAgent, HostError, type JsonObject, type JsonValue } from '@runloop/agent';

export default defineAgent({
  handle(request, host) {
    const asks = (request.with['asks'] ?? []) as readonly JsonObject[];
    const told: JsonValue[] = [];
    for (let round = 0; round < Number(request.with['times'] ?? 1); round += 1)
      for (const ask of asks) {
        try {
          told.push((host.model.complete(ask) as { readonly text: string }).text);
        } catch (error) {
          if (!(error instanceof HostError)) throw error;
          told.push(`${error.code}: ${error.message}`);
        }
      }
    return { out: [{ type: 'json.value.v1', value: told }] };
  },
});
