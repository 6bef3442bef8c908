/**
 * The view of a question: what the model says as it says it, one dim line for each call, and what it came to.
 *
 * Pieces and lines come in passing and may be missing; the answer itself is taken from the ledger in the end.
 */
import { type RunEvent, showLine } from '@runloop/core';
import type { Environment } from './environment.ts';
import { Fill } from './fill.ts';
import type { View } from './follow.ts';
import { dollars, duration, type Screen } from './screen.ts';

export class AskView implements View {
  readonly #screen: Screen;
  readonly #isLive: boolean;
  readonly #fill: Fill;
  #said = '';
  #isPaused = false;
  #tokens = 0;
  #usdNano = 0;
  #tookMs = 0;
  state = '';
  reason = '';

  constructor({ streams }: Environment, screen: Screen) {
    this.#screen = screen;
    this.#isLive = streams.out.isTTY === true;
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
  passing({ kind, message }: RunEvent): void {
    if (!this.#isLive || this.#isPaused) return;
    if (kind === 'node.stderr') return this.#line(`· ${message}`, 'dim');
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
  }

  end(): void {
    this.#fill.end();
  }

  get cost(): string {
    return `${this.#tokens} tokens, ${dollars(this.#usdNano)}, ${duration(this.#tookMs)}`;
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
