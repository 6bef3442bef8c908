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
  /** Whether `rest` ends in one, which may be half a line's end. */
  let isReturn = false;
  let data: string[] = [];
  return {
    push(chunk) {
      const more = decoder.decode(chunk, { stream: true });
      // Looked through once: a long line in small chunks would otherwise be searched again with each of them.
      if (!isReturn && !/[\r\n]/.test(more)) {
        rest += more;
        return [];
      }
      const lines = `${rest}${more}`.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? '';
      isReturn = rest.endsWith('\r');
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
