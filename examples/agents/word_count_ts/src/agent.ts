/**
 * word_count_ts: takes a text and gives it back with the number of its words.
 */
import { AgentFailure, defineAgent } from '@runloop/agent';

export default defineAgent({
  handle(request, host) {
    const { text } = request.with;
    if (typeof text !== 'string' || text.trim() === '') throw new AgentFailure('give with.text', { retryable: false });
    const note = text.trim();
    const words = note.split(/\s+/).length;
    host.log('info', `a note of ${words} words`);
    return { out: [{ type: 'artifact.generic.v1', value: { note, words } }] };
  },
});
