/** Says why a submission takes its time. */
import { sleep, systemClock } from '@runloop/core';
import type { Screen } from './screen.ts';

/** How long a submission may take before somebody is told why. */
const patienceMs = 1200;

export async function patiently<T>(screen: Screen, submission: Promise<T>): Promise<T> {
  const answered = new AbortController();
  void sleep(systemClock, patienceMs, answered.signal).then((how) => {
    if (how === 'elapsed') screen.note('rlp: getting the agents ready; the first run of each builds it');
  });
  try {
    return await submission;
  } finally {
    answered.abort();
  }
}
