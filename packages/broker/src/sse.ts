/**
 * Server-sent events, pushed in as bytes however they are cut, given out as the `data` of whole events.
 */
export interface SseDecoder {
  /** The events that became whole with this chunk. */
  push(chunk: Uint8Array): readonly string[];
}

export function createSseDecoder(): SseDecoder {
  const decoder = new TextDecoder();
  let rest = '';
  let data: string[] = [];
  return {
    push(chunk) {
      rest += decoder.decode(chunk, { stream: true });
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? '';
      const whole: string[] = [];
      for (const line of lines) {
        if (line === '') {
          if (data.length > 0) whole.push(data.join('\n'));
          data = [];
        } else if (line.startsWith('data:')) data.push(line.slice(line[5] === ' ' ? 6 : 5));
      }
      return whole;
    },
  };
}
