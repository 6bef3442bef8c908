/** A line of JSON for each piece of a stream, pushed in as bytes however they are cut. */
import type { SseDecoder } from './sse.ts';

export function createLineDecoder(): SseDecoder {
  const decoder = new TextDecoder();
  let rest = '';
  return {
    push(chunk) {
      rest += decoder.decode(chunk, { stream: true });
      const lines = rest.split('\n');
      rest = lines.pop() ?? '';
      return lines.map((line) => line.trim()).filter((line) => line !== '');
    },
  };
}
