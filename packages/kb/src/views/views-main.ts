/**
 * The views thread: answers what is asked, and projects between the questions.
 *
 * It projects in chunks, one a turn of the loop, so that a read never waits for more than one.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { loadBlake3 } from '../blake3.ts';
import type { Answer, Question } from '../thread.ts';
import { createViewsDesk, type ViewsData, type ViewsQuestion } from './views-desk.ts';

const port = parentPort;
if (port === null) throw new Error('assumed to run as a thread');
const desk = createViewsDesk(workerData as ViewsData, await loadBlake3());

let scheduled = false;
function projectSoon(): void {
  if (scheduled) return;
  scheduled = true;
  setImmediate(() => {
    scheduled = false;
    if (desk.projectSome()) projectSoon();
  });
}

await new Promise<void>((resolve) => {
  port.on('message', (message: 'close' | Question<ViewsQuestion>) => {
    if (message === 'close') {
      desk[Symbol.dispose]();
      port.close();
      return resolve();
    }
    port.postMessage({ n: message.n, answer: desk.answer(message.question) } satisfies Answer);
    if (message.question.type === 'durable') projectSoon();
  });
});
