/**
 * The ledger and its views on the caller's own thread, for simulations and tools that must decide themselves what happens
 * when: the same code as the threads run, answered on a later turn, in the order of the questions.
 */
import { type Failure, type Result, ok } from '@runloop/core';
import { loadBlake3 } from './blake3.ts';
import { createLedgerDesk, type LedgerData, type LedgerQuestion } from './ledger/ledger-desk.ts';
import { createSearchDesk, type SearchData, type SearchQuestion } from './search/search-desk.ts';
import type { Thread } from './thread.ts';
import { createViewsDesk, type ViewsData, type ViewsQuestion } from './views/views-desk.ts';

export async function inlineThreads(
  ledgerData: LedgerData,
  viewsData: ViewsData,
  searchData: SearchData,
): Promise<{
  readonly ledger: Thread<LedgerQuestion>;
  readonly views: Thread<ViewsQuestion>;
  readonly search: Thread<SearchQuestion>;
}> {
  const blake3 = await loadBlake3();
  const ledger = createLedgerDesk(ledgerData, blake3, process.pid);
  const views = createViewsDesk(viewsData, blake3);
  const search = createSearchDesk(searchData);
  return {
    ledger: inlineThread((question) => {
      if (question === 'open') return ledger.open();
      if (question.type !== 'append') return ledger.upkeep(question);
      const answers = ledger.commit(question.batch);
      return answers.ok ? ok(answers.value[0]) : answers;
    }, ledger),
    views: inlineThread((question) => views.answer(question), views),
    search: inlineThread((question) => search.answer(question), search),
  };
}

function inlineThread<Q>(answer: (question: Q) => Result<unknown, Failure>, desk: Disposable): Thread<Q> {
  return {
    ask: (question) => Promise.resolve(question).then(answer),
    [Symbol.asyncDispose]: () => Promise.resolve(desk[Symbol.dispose]()),
  };
}
