/**
 * Takes a secret from standard input, or asks for it on the terminal without showing it. Never from an argument: those
 * stand in the shell's history and in the list of processes.
 */
import type { Environment } from './environment.ts';

/** Characters that are read at most. */
export const hiddenCharsMax = 65_536;

/** Undefined where the asking was broken off. */
export async function readHidden({ streams }: Environment, question: string): Promise<string | undefined> {
  if (streams.in.isTTY !== true) {
    let text = '';
    streams.in.setEncoding('utf8');
    for await (const chunk of streams.in) {
      text += String(chunk);
      if (text.length > hiddenCharsMax) break;
    }
    return text.replace(/\r?\n$/, '');
  }
  streams.err.write(question);
  streams.in.setRawMode(true);
  streams.in.setEncoding('utf8');
  try {
    return await typed(streams.in);
  } finally {
    streams.in.setRawMode(false);
    streams.in.pause();
    streams.err.write('\n');
  }
}

function typed(input: NodeJS.ReadStream): Promise<string | undefined> {
  return new Promise((resolve) => {
    let text = '';
    const done = (answer: string | undefined): void => {
      input.off('data', take);
      resolve(answer);
    };
    const take = (chunk: string): void => {
      for (const char of chunk) {
        if (char === '\r' || char === '\n') return done(text);
        if (char === '\u0003' || char === '\u0004') return done(undefined);
        if (char === '\u007f' || char === '\b') text = text.slice(0, -1);
        else if (text.length < hiddenCharsMax) text += char;
      }
    };
    input.on('data', take);
    input.resume();
  });
}
