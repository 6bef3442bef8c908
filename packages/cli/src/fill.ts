/**
 * Text that comes in pieces, broken between words at the terminal's edge; escaped.
 */
import { showText } from '@runloop/core';

export class Fill {
  readonly #width: number;
  readonly #write: (text: string) => void;
  #column = 0;
  #word = '';

  constructor(width: number, write: (text: string) => void) {
    this.#width = Math.max(20, width);
    this.#write = write;
  }

  push(text: string): void {
    for (const part of showText(text).split(/(\n| +)/)) {
      if (part === '') continue;
      if (part !== '\n' && !part.startsWith(' ')) {
        this.#word += part;
        continue;
      }
      this.#flush();
      if (part === '\n') this.#newline();
      else if (this.#column > 0 && this.#column + part.length < this.#width) this.#put(part);
      else if (this.#column === 0) this.#put(part.slice(0, this.#width >> 1));
    }
  }

  /** The last word, and the end of its line. */
  end(): void {
    this.#flush();
    if (this.#column > 0) this.#newline();
  }

  #flush(): void {
    if (this.#column > 0 && this.#column + this.#word.length > this.#width) this.#newline();
    if (this.#word !== '') this.#put(this.#word);
    this.#word = '';
  }

  #put(text: string): void {
    this.#write(text);
    this.#column += text.length;
  }

  #newline(): void {
    this.#write('\n');
    this.#column = 0;
  }
}
