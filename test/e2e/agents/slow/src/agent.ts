/** Takes its time: asks the knowledge base as often as `with.calls` says, and counts. */
import { defineAgent } from '@runloop/agent';

export default defineAgent({
  handle(request, host) {
    const calls = Number(request.with['calls'] ?? 0);
    for (let i = 0; i < calls; i += 1) host.kb.search({ text: `nothing ${i}`, max: 1 });
    return { out: [{ type: 'number', value: calls }] };
  },
});
