/**
 * Starts a module as a thread: the `.ts` where we run from source, the `.js` where we are built.
 *
 * No thread is started but here, for what Node 24 does where several threads call JavaScript from WASM
 * (docs/decisions/0502-wasm-in-threads.md).
 */
import type { Worker, WorkerOptions } from 'node:worker_threads';

/** Calls after which V8 compiles a call between WASM and JavaScript; its own default is 1 000. */
const neverInBudget = 2 ** 31 - 1;

/** Starts `name` beside the module whose `import.meta.url` is `here`. */
export function startModuleThread(here: string, name: string, options: Omit<WorkerOptions, 'execArgv'> = {}): Worker {
  // Loaded here, for commands that start no thread import this package too, and the two take 4 ms.
  const v8 = process.getBuiltinModule('node:v8');
  const threads = process.getBuiltinModule('node:worker_threads');
  // V8 shares those compiled calls among all threads, and may free one that another thread has just found.
  v8.setFlagsFromString(`--wasm-wrapper-tiering-budget=${neverInBudget}`);
  const fromSource = here.endsWith('.ts');
  return new threads.Worker(new URL(`./${name}${fromSource ? '.ts' : '.js'}`, here), {
    name,
    ...options,
    execArgv: fromSource ? ['--conditions=source'] : [],
  });
}
