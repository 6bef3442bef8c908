/**
 * What a program of kind `command` prints: its answer is the last JSON object on standard output, the rest are log lines.
 *
 * 1. An object begins at the start of a line; it is that line, or ends with the next line that begins with `}`.
 * 2. Nothing is held but the line under way, the object under way and the last whole one, each up to `bytesMax`: what is
 *    longer goes to the log, which is cut at its own limit.
 */
type Log = (stream: 'stdout' | 'stderr', line: string) => void;

export class ProgramOutput {
  readonly #log: Log;
  readonly #bytesMax: number;
  readonly #stdout: Lines;
  readonly #stderr: Lines;
  #object: string[] = [];
  #objectLength = 0;
  #answer: string | undefined;
  /** Something that could have been the answer was longer than an answer may be. */
  tooLarge = false;
  /** The last line on standard error that says something. */
  complaint = '';

  constructor(log: Log, bytesMax: number) {
    this.#log = log;
    this.#bytesMax = bytesMax;
    const cut = (): void => {
      this.tooLarge = true;
    };
    this.#stdout = new Lines((line) => this.#line(line), bytesMax, cut);
    this.#stderr = new Lines(
      (line) => {
        if (line.trim() !== '') this.complaint = line.trim();
        log('stderr', line);
      },
      bytesMax,
      () => undefined,
    );
  }

  write(stream: 'stdout' | 'stderr', bytes: Uint8Array): void {
    (stream === 'stdout' ? this.#stdout : this.#stderr).push(bytes);
  }

  /** The program is over: the answer, if it gave one. */
  end(): string | undefined {
    this.#stdout.end();
    this.#stderr.end();
    this.#giveUpObject();
    return this.#answer;
  }

  #line(line: string): void {
    if (line.startsWith('{')) {
      this.#giveUpObject();
      if (isObject(line)) this.#take(line);
      else this.#hold(line);
    } else if (this.#object.length === 0) this.#log('stdout', line);
    else {
      this.#hold(line);
      if (!line.startsWith('}')) return;
      const whole = this.#object.join('\n');
      if (isObject(whole)) {
        this.#object = [];
        this.#take(whole);
      } else this.#giveUpObject();
    }
  }

  #hold(line: string): void {
    this.#objectLength = (this.#object.length === 0 ? 0 : this.#objectLength) + line.length + 1;
    this.#object.push(line);
    if (this.#objectLength <= this.#bytesMax) return;
    this.tooLarge = true;
    this.#giveUpObject();
  }

  #giveUpObject(): void {
    for (const line of this.#object) this.#log('stdout', line);
    this.#object = [];
  }

  #take(text: string): void {
    if (this.#answer !== undefined) this.#log('stdout', this.#answer);
    this.#answer = text;
    this.tooLarge = false;
  }
}

function isObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null;
  } catch {
    return false;
  }
}

/** Bytes into lines; of one that is too long the first part is a line, and the rest is dropped. */
class Lines {
  readonly #take: (line: string) => void;
  readonly #lengthMax: number;
  readonly #cut: () => void;
  readonly #decoder = new TextDecoder();
  #parts: string[] = [];
  #length = 0;
  #skips = false;

  constructor(take: (line: string) => void, lengthMax: number, cut: () => void) {
    this.#take = take;
    this.#lengthMax = lengthMax;
    this.#cut = cut;
  }

  push(bytes: Uint8Array): void {
    this.#pushText(this.#decoder.decode(bytes, { stream: true }));
  }

  end(): void {
    this.#pushText(this.#decoder.decode());
    if (this.#length > 0) this.#flush();
  }

  #pushText(text: string): void {
    const pieces = text.split('\n');
    pieces.forEach((piece, index) => {
      if (!this.#skips && piece !== '') {
        this.#parts.push(piece);
        this.#length += piece.length;
        if (this.#length > this.#lengthMax) {
          this.#cut();
          this.#flush();
          this.#skips = true;
        }
      }
      if (index === pieces.length - 1) return;
      if (!this.#skips) this.#flush();
      this.#skips = false;
    });
  }

  #flush(): void {
    const line = this.#parts.join('').slice(0, this.#lengthMax);
    this.#parts = [];
    this.#length = 0;
    this.#take(line);
  }
}
