/**
 * The view of a question: what the model says as it says it, one dim line for each call, and what it came to.
 *
 * Pieces and lines come in passing and may be missing; the answer itself is taken from the ledger in the end.
 * An attempt that waited for a person runs over its calls again: what it said of them before is not said twice.
 */
import { type RunEvent, showLine } from '@runloop/core';
import type { Environment } from './environment.ts';
import { Fill } from './fill.ts';
import type { View } from './follow.ts';
import { dollars, duration, type Screen, counted } from './screen.ts';

export class AskView implements View {
  readonly #screen: Screen;
  readonly #isLive: boolean;
  readonly #fill: Fill;
  /** Lines of calls, and how far the attempt that runs has come in them. */
  readonly #calls: string[] = [];
  #at = 0;
  #said = '';
  #isPaused = false;
  #held: RunEvent[] = [];
  #tokens = 0;
  #usdNano = 0;
  #tookMs = 0;
  state = '';
  reason = '';

  constructor({ streams }: Environment, screen: Screen, json: boolean) {
    this.#screen = screen;
    this.#isLive = streams.out.isTTY === true && !json;
    this.#fill = new Fill(screen.width, (text) => void streams.out.write(text));
  }

  /** Since the last call: at the end, what the answer was as it was said. */
  get said(): string {
    return this.#said;
  }

  show({ kind, message, meta }: RunEvent): void {
    if (kind === 'model.called') {
      this.#tokens += Number(meta['tokens_in'] ?? 0) + Number(meta['tokens_out'] ?? 0);
      this.#usdNano += Number(meta['usd_nano'] ?? 0);
    } else if (kind === 'cap.audit' && meta['decision'] === 'deny') this.#line(`✗ ${message}`, 'yellow');
    else if (kind === 'action.decided' && meta['decision'] !== 'approve') this.#line(`✗ ${message}`, 'yellow');
    else if (kind === 'node.finished' && meta['state'] !== 'succeeded') this.reason ||= String(meta['reason'] ?? '');
    else if (kind === 'run.finished') {
      this.state = String(meta['state']);
      this.reason ||= String(meta['reason'] ?? '');
      this.#tookMs = Number(meta['duration_ms'] ?? 0);
    }
  }

  /** What comes in passing. */
  passing(event: RunEvent): void {
    const { kind, message } = event;
    if (!this.#isLive) return;
    if (this.#isPaused) return void this.#held.push(event);
    if (kind === 'node.waiting' || kind === 'node.started') this.#at = 0;
    if (kind === 'node.stderr') return this.#call(message);
    if (kind !== 'model.delta') return;
    this.#said += message;
    this.#fill.push(message);
  }

  pause(): void {
    this.#fill.end();
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    for (const event of this.#held.splice(0)) this.passing(event);
  }

  end(): void {
    this.#fill.end();
  }

  get cost(): string {
    return `${counted(this.#tokens, 'token')}, ${dollars(this.#usdNano)}, ${duration(this.#tookMs)}`;
  }

  #call(text: string): void {
    this.#at += 1;
    if (text === this.#calls[this.#at - 1]) return;
    this.#calls.length = this.#at - 1;
    this.#calls.push(text);
    this.#line(`· ${text}`, 'dim');
  }

  #line(text: string, colour: 'dim' | 'yellow'): void {
    if (!this.#isLive) {
      if (colour === 'yellow') this.#screen.note(`rlp: ${showLine(text.slice(2))}`);
      return;
    }
    this.#fill.end();
    this.#said = '';
    const line = showLine(text);
    const cut = line.length > this.#screen.width ? `${line.slice(0, this.#screen.width - 1)}…` : line;
    this.#screen.line(this.#screen.paint(colour, cut));
  }
}
