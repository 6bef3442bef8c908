/**
 * Gives back memory when the daemon rests: code that ran once at the start, and what is dead.
 *
 * It is the collection that V8 makes before it would give up: it takes some 30 ms and saves about 14 MB.
 * V8 offers it to programs only through `gc`, which is made visible here and nowhere else.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

type Collect = (options: { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void;

export function createCollect(): () => void {
  let gc: Collect | undefined;
  return () => {
    if (gc === undefined) {
      setFlagsFromString('--expose-gc');
      gc = runInNewContext('gc') as Collect;
    }
    // Twice: what the first one finalises, the second one frees.
    for (let i = 0; i < 2; i += 1) gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  };
}
