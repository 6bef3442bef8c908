/** A terminal of 80 × 24 that a test types into and reads: tmux, on a server of its own. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './place.ts';

export const hasTerminal: boolean = existsSync('/usr/bin/tmux');

export class Terminal implements Disposable {
  readonly #name: string;

  constructor(home: string, name: string) {
    this.#name = `${home.split('/').at(-1)}-${name}`;
    const env = {
      ...process.env,
      TERM: 'xterm',
      RUNLOOP_HOME: home,
      PS1: '$ ',
      NO_COLOR: '1',
      PATH: `${root}/bin:${process.env['PATH']}`,
    };
    execFileSync(
      '/usr/bin/tmux',
      ['-f', '/dev/null', '-L', this.#name, 'new-session', '-d', '-x', '80', '-y', '24', 'sh'],
      {
        env,
        cwd: join(root),
      },
    );
  }

  type(text: string, ...keys: string[]): void {
    if (text !== '') this.#tmux('send-keys', '-l', text);
    if (keys.length > 0) this.#tmux('send-keys', ...keys);
  }

  enter(text: string): void {
    this.type(text, 'Enter');
  }

  get screen(): string {
    return this.#tmux('capture-pane', '-p', '-S', '-200');
  }

  /** Waits until the screen shows this; answers its match. */
  async until(pattern: RegExp): Promise<RegExpExecArray> {
    for (let tries = 0; tries < 300; tries += 1) {
      const found = pattern.exec(this.screen);
      if (found !== null) return found;
      await new Promise((resolve) => {
        setTimeout(resolve, 100);
      });
    }
    throw new Error(`${String(pattern)} is not on the screen:\n${this.screen}`);
  }

  #tmux(...args: string[]): string {
    return execFileSync('/usr/bin/tmux', ['-L', this.#name, ...args], { encoding: 'utf8' });
  }

  [Symbol.dispose](): void {
    this.#tmux('kill-server');
  }
}
