/**
 * The search thread: answers what is asked, and makes missing vectors between the questions, a chunk a turn of the loop.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { createSearchDesk, type SearchData, type SearchQuestion } from './search-desk.ts';
import type { Answer, Question } from './thread.ts';

const port = parentPort;
if (port === null) throw new Error('assumed to run as a thread');
const desk = createSearchDesk(workerData as SearchData);

let scheduled = false;
let closed = false;
function embedSoon(): void {
  if (scheduled) return;
  scheduled = true;
  setImmediate(() => {
    scheduled = false;
    if (!closed && desk.embedSome()) embedSoon();
  });
}

await new Promise<void>((resolve) => {
  port.on('message', (message: 'close' | Question<SearchQuestion>) => {
    if (message === 'close') {
      closed = true;
      desk[Symbol.dispose]();
      port.close();
      return resolve();
    }
    port.postMessage({ n: message.n, answer: desk.answer(message.question) } satisfies Answer);
    if (message.question.type === 'search' || message.question.type === 'status') embedSoon();
  });
});
