/**
 * Gathers what the knowledge base says about a topic, as bullets that each cite the events they rest on.
 */
import { AgentFailure, type JsonObject, type JsonValue, defineAgent } from '@runloop/agent';

const bulletsMax = 6;
const bulletCharsMax = 240;
/** What counts as knowledge: runs and their own drafts do not cite themselves. */
const kinds = ['contact', 'note', 'fact', 'edge'];

export default defineAgent({
  handle(request, host) {
    const { topic, max } = request.with;
    if (typeof topic !== 'string' || topic.trim() === '')
      throw new AgentFailure('there is no topic: give with.topic', { retryable: false });
    const answer = host.kb.search({ text: topic, kinds, max: typeof max === 'number' ? max : bulletsMax });
    const bullets = hits(answer).flatMap((hit) => {
      const text =
        typeof hit['excerpt'] === 'string'
          ? hit['excerpt']
              .replace(/\s+/g, ' ')
              .trim()
              .replace(/^[a-z]+:\S+ /, '')
              .slice(0, bulletCharsMax)
          : '';
      const cites = Array.isArray(hit['source_events']) ? hit['source_events'] : [];
      // A bullet that cites nothing is not evidence.
      return text === '' || cites.length === 0 ? [] : [{ text, cites, entity: hit['entity'] ?? null }];
    });
    return { out: [{ type: 'observation.context.bundle.v1', value: { topic, bullets } }] };
  },
});

function hits(answer: JsonValue): readonly JsonObject[] {
  const list = (answer as JsonObject)['hits'];
  return Array.isArray(list) ? (list as readonly JsonObject[]) : [];
}
