/**
 * The live view of a run: one line a node that changes in place on a terminal, plain lines elsewhere. Below the nodes the
 * last words of a model that speaks.
 */
import { type RunEvent, showLine, systemClock } from '@runloop/core';
import type { Environment } from './environment.ts';
import { type Colour, dollars, duration, type Screen, counted } from './screen.ts';

type Row = {
  id: string;
  agent: string;
  state: string;
  attempt: number;
  began: number;
  took: number | undefined;
  note: string;
};

const marks: { readonly [state: string]: readonly [string, Colour] } = {
  pending: ['·', 'dim'],
  ready: ['○', 'dim'],
  running: ['●', 'blue'],
  retrying: ['↻', 'yellow'],
  waiting: ['?', 'yellow'],
  succeeded: ['✓', 'green'],
  failed: ['✗', 'red'],
  skipped: ['-', 'dim'],
  cancelled: ['×', 'yellow'],
};

/** Between two drawings for the sake of a model's words. */
const drawMs = 50;

export class RunView {
  readonly #environment: Environment;
  readonly #screen: Screen;
  readonly #rows = new Map<string, Row>();
  readonly #live: boolean;
  #drawn = 0;
  #paused = false;
  #tokens = 0;
  #usdNano = 0;
  #name = '';
  #words = '';
  #drawnMs = 0;
  #isOver = false;

  constructor(environment: Environment, screen: Screen) {
    this.#environment = environment;
    this.#screen = screen;
    this.#live = environment.streams.out.isTTY === true && environment.env['TERM'] !== 'dumb';
  }

  show(event: RunEvent): void {
    this.#fold(event);
    this.#isOver ||= event.kind === 'run.finished';
    if (event.kind === 'run.accepted') this.#head(event);
    if (this.#live) this.#draw();
    else if (event.kind !== 'run.accepted')
      this.#screen.line(`${event.level === 'error' ? '✗' : ' '} ${showLine(event.message)}`);
    if (event.kind === 'run.finished') this.#foot(event);
  }

  /** What comes in passing. */
  passing({ kind, message }: RunEvent): void {
    if (!this.#live || this.#isOver || kind !== 'model.delta') return;
    this.#words = `${this.#words} ${message}`.replace(/\s+/g, ' ').slice(-this.#screen.width);
    // A model speaks faster than anybody reads.
    if (systemClock.monotonicMs() - this.#drawnMs >= drawMs) this.#draw();
  }

  /** Lets something else write below the view. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#drawn = 0;
    if (this.#live) this.#draw();
  }

  end(): void {
    this.#drawn = 0;
  }

  #fold({ kind, meta, ts_ms: ts }: RunEvent): void {
    if (kind === 'run.accepted') {
      this.#name = String(meta['name']);
      const opening = meta['opening'] as { nodes: readonly { id: string; use: { name: string } }[] };
      for (const { id, use } of opening.nodes)
        this.#rows.set(id, { id, agent: use.name, state: 'pending', attempt: 0, began: 0, took: undefined, note: '' });
    }
    if (kind === 'model.called') {
      this.#words = '';
      this.#tokens += Number(meta['tokens_in'] ?? 0) + Number(meta['tokens_out'] ?? 0);
      this.#usdNano += Number(meta['usd_nano'] ?? 0);
    }
    const row = this.#rows.get(String(meta['node']));
    if (row === undefined) return;
    if (kind === 'node.ready') row.state = 'ready';
    if (kind === 'node.started')
      Object.assign(row, { state: 'running', attempt: Number(meta['attempt']), began: ts, note: '' });
    if (kind === 'node.retrying') Object.assign(row, { state: 'retrying', note: String(meta['reason'] ?? '') });
    if (kind === 'node.waiting') Object.assign(row, { state: 'waiting', note: `for ${String(meta['for'])}` });
    if (kind === 'node.finished')
      Object.assign(row, {
        state: String(meta['state']),
        took: row.began === 0 ? undefined : ts - row.began,
        note: meta['state'] === 'succeeded' ? '' : String(meta['reason'] ?? ''),
      });
  }

  #head(event: RunEvent): void {
    this.#screen.line(
      `${this.#screen.paint('bold', showLine(this.#name))}  ${this.#screen.paint('dim', event.trace_id)}`,
    );
  }

  #foot(event: RunEvent): void {
    const state = String(event.meta['state']);
    const [mark, colour] = marks[state] ?? ['', 'dim'];
    const cost =
      this.#tokens === 0 ? 'no model was called' : `${counted(this.#tokens, 'token')}, ${dollars(this.#usdNano)}`;
    const reason = event.meta['reason'] === undefined ? '' : `: ${showLine(String(event.meta['reason']))}`;
    this.#screen.line(
      `${this.#screen.paint(colour, `${mark} ${state}`)}${reason} in ${duration(Number(event.meta['duration_ms'] ?? 0))}, ${cost}`,
    );
  }

  /** Draws the nodes over what was drawn before. More nodes than lines: only those that are under way. */
  #draw(): void {
    if (this.#paused) return;
    const room = Math.max(4, this.#environment.height - 4);
    let rows = [...this.#rows.values()];
    if (rows.length > room)
      rows = rows.filter((row) => row.state !== 'pending' && row.state !== 'succeeded').slice(0, room);
    this.#drawnMs = systemClock.monotonicMs();
    const words = showLine(this.#words).slice(-(this.#screen.width - 5));
    const lines = [
      ...rows.map((row) => this.#line(row)),
      ...(words === '' ? [] : [this.#screen.paint('dim', `    ${words}`)]),
    ];
    const up = this.#drawn > 0 ? `\u001b[${this.#drawn}A` : '';
    this.#environment.streams.out.write(
      `${up}${lines.map((line) => `\u001b[2K${line}\n`).join('')}${up === '' ? '' : '\u001b[J'}`,
    );
    this.#drawn = lines.length;
  }

  #line(row: Row): string {
    const [mark, colour] = marks[row.state] ?? ['?', 'dim'];
    const width = Math.max(...[...this.#rows.keys()].map((id) => id.length));
    const took = row.took === undefined ? '' : duration(row.took);
    const attempt = row.attempt > 1 ? ` (attempt ${row.attempt})` : '';
    const plain =
      `  ${mark} ${row.id.padEnd(width)}  ${row.agent}  ${row.state}${attempt} ${took} ${showLine(row.note)}`.trimEnd();
    const cut = plain.length > this.#screen.width ? `${plain.slice(0, this.#screen.width - 1)}…` : plain;
    return cut.replace(mark, this.#screen.paint(colour, mark));
  }
}
