/** Starts the thread beside this file: as we do (`ours`), or as Node does by itself. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { startModuleThread } from '../src/module-thread.ts';

const thread =
  process.argv[2] === 'ours'
    ? startModuleThread(import.meta.url, 'wasm-calls-main')
    : new Worker(new URL('./wasm-calls-main.ts', import.meta.url));
await once(thread, 'exit');
