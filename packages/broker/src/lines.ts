/** A line of JSON for each piece of a stream, pushed in as bytes however they are cut. */
import type { SseDecoder } from './sse.ts';

export function createLineDecoder(): SseDecoder {
  const decoder = new TextDecoder();
  let rest = '';
  return {
    push(chunk) {
      const more = decoder.decode(chunk, { stream: true });
      // Looked through once, as in sse.ts.
      if (!more.includes('\n')) {
        rest += more;
        return [];
      }
      const lines = `${rest}${more}`.split('\n');
      rest = lines.pop() ?? '';
      return lines.map((line) => line.trim()).filter((line) => line !== '');
    },
  };
}
