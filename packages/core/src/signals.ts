/**
 * One signal of several, for as long as a piece of work lasts.
 *
 * AbortSignal.any does the same with weak references that only a collection of garbage clears away: at hundreds of calls a
 * second those were what made its pauses long. Whoever joins signals here lets go of them by `using`.
 */
export type JoinedSignal = Disposable & {
  /** Aborted with the first of them, for its reason; never after it was disposed of. */
  readonly signal: AbortSignal;
};

export function joinSignals(...signals: readonly AbortSignal[]): JoinedSignal {
  const controller = new AbortController();
  const letGo = (): void => {
    for (const signal of signals) signal.removeEventListener('abort', end);
  };
  const end = (): void => {
    letGo();
    controller.abort(signals.find(({ aborted }) => aborted)?.reason);
  };
  if (signals.some(({ aborted }) => aborted)) end();
  else for (const signal of signals) signal.addEventListener('abort', end);
  return { signal: controller.signal, [Symbol.dispose]: letGo };
}
