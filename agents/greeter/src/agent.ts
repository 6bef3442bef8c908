/** Says hello: the smallest agent there is. */
import { defineAgent } from '@runloop/agent';

export default defineAgent({
  handle(request) {
    const { name } = request.with;
    const text = `Hello, ${typeof name === 'string' && name !== '' ? name : 'world'}!`;
    return { out: [{ type: 'artifact.generic.v1', value: { text } }] };
  },
});
