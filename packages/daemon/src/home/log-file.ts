/**
 * A log file of JSON lines, bounded: when it is full it becomes `<name>.1` and a new one begins.
 *
 * No line holds a secret. Writing never blocks and never fails a caller; what could not be written is counted and told when writing works again.
 */
import { existsSync } from 'node:fs';
import { appendFile, mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Clock, err, type Failure, failure, type Log, type LogLevel, ok, type Result } from '@runloop/core';
import type { Scrubber } from '../secrets/scrubber.ts';

/** Size at which a file is turned over. */
export const logFileBytesMax: number = 16 * 1024 * 1024;
/** Lines that wait for the disk; more are dropped and counted. */
export const logLinesWaitingMax = 10_000;

const order: readonly LogLevel[] = ['error', 'warn', 'info', 'debug', 'trace'];

export class LogFile implements Log, AsyncDisposable {
  readonly #path: string;
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #level: number;
  readonly #scrubber: Scrubber;
  #waiting: string[] = [];
  #dropped = 0;
  #bytes: number | undefined;
  #writing: Promise<void> | undefined;

  constructor(path: string, clock: Pick<Clock, 'nowMs'>, level: LogLevel, scrubber: Scrubber) {
    this.#scrubber = scrubber;
    this.#path = path;
    this.#clock = clock;
    this.#level = order.indexOf(level);
  }

  log(level: LogLevel, message: string, fields: { readonly [key: string]: unknown } = {}): void {
    if (order.indexOf(level) > this.#level) return;
    this.line({ ts_ms: this.#clock.nowMs(), level, message, ...fields });
  }

  line(value: { readonly [key: string]: unknown }): void {
    if (this.#waiting.length >= logLinesWaitingMax) {
      this.#dropped += 1;
      return;
    }
    this.#waiting.push(`${this.#scrubber.scrubLine(JSON.stringify(value))}\n`);
    this.#writing ??= this.#write();
  }

  /** Rewrites what was written so far without the lines of which `has` is true; what is logged meanwhile waits. */
  async forget(has: (line: string) => boolean): Promise<Result<void, Failure>> {
    while (this.#writing !== undefined) await this.#writing;
    let done: Result<void, Failure> = ok(undefined);
    this.#writing = this.#rewrite(has)
      .then((result) => (done = result))
      .then(() => this.#write());
    await this.#writing;
    return done;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const lines = this.#waiting.splice(0).join('');
      const note =
        this.#dropped > 0
          ? `${JSON.stringify({ ts_ms: this.#clock.nowMs(), level: 'warn', message: 'log lines were dropped', count: this.#dropped })}\n`
          : '';
      try {
        this.#bytes ??= await this.#open();
        if (this.#bytes > logFileBytesMax) {
          await rename(this.#path, `${this.#path}.1`);
          this.#bytes = 0;
        }
        await appendFile(this.#path, note + lines, { mode: 0o600 });
        this.#bytes += lines.length;
        if (note !== '') this.#dropped = 0;
      } catch {
        // The disk does not take it: the ledger says so loudly, the log only counts.
        this.#dropped += lines.split('\n').length - 1;
        this.#bytes = undefined;
      }
    }
    this.#writing = undefined;
  }

  async #rewrite(has: (line: string) => boolean): Promise<Result<void, Failure>> {
    try {
      for (const path of [this.#path, `${this.#path}.1`]) {
        if (!existsSync(path)) continue;
        const lines = (await readFile(path, 'utf8')).split('\n');
        const kept = lines.filter((line) => !has(line));
        if (kept.length === lines.length) continue;
        await writeFile(`${path}.new`, kept.join('\n'), { mode: 0o600, flush: true });
        await rename(`${path}.new`, path);
      }
      this.#bytes = undefined;
      return ok(undefined);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return err(failure('StorageFailed', `the log ${this.#path} cannot be rewritten: ${why}`));
    }
  }

  async #open(): Promise<number> {
    await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
    return stat(this.#path).then(
      (found) => found.size,
      () => 0,
    );
  }
}
