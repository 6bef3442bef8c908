/**
 * A thread for one check of the ledger, so that hours of rows hold up neither the writer nor the readers.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { loadBlake3 } from '../blake3.ts';
import type { Answer, Question } from '../thread.ts';
import { type VerifyData, type VerifyOptions, verifyLedger } from './verify.ts';

const port = parentPort;
if (port === null) throw new Error('assumed to run as a thread');
const blake3 = await loadBlake3();
port.on('message', (message: 'close' | Question<VerifyOptions>) => {
  if (message === 'close') return port.close();
  port.postMessage({
    n: message.n,
    answer: verifyLedger(workerData as VerifyData, message.question, blake3),
  } satisfies Answer);
});
