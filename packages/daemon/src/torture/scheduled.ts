/**
 * The ledger and the cells of a life, each of whose answers comes when the schedule says so.
 */
import { err, type Failure, failure, type Result, joinSignals } from '@runloop/core';
import type { Kb } from '@runloop/kb';
import type { AttemptOutcome, Cells, HostCalls } from '@runloop/runtime';
import type { AgentSource } from '../runs/ports.ts';
import type { Life } from './schedule.ts';

/** What goes wrong by itself; each is asked once for each time that it could. */
export type Faults = {
  /** The disk is full for this append. */
  readonly diskFull?: () => boolean;
  /** The cell of this attempt is lost before it ends, or the attempt has to begin anew in another one. */
  readonly cell?: (node: string, attempt: number) => 'lost' | 'bystander' | undefined;
};

/** Appends, proposals and blobs are boundaries; what is only read is not. */
export function scheduledKb(life: Life, kb: Kb, faults: Faults): Kb {
  const write = <T>(label: string, work: () => Promise<Result<T, Failure>>): Promise<Result<T, Failure>> =>
    life.boundary(label, () =>
      faults.diskFull?.() === true ? Promise.resolve(err(failure('StorageFull', 'the disk is full'))) : work(),
    );
  const read = <A extends readonly unknown[], T>(
    name: string,
    question: (...args: A) => Promise<T>,
  ): ((...args: A) => Promise<T>) => {
    return (...args) => life.task(`kb.${name}`, () => question(...args));
  };
  return {
    ...kb,
    append: (drafts, blobs) =>
      write(`append ${drafts.map((one) => one.kind).join(' ') || 'blobs'}`, () => kb.append(drafts, blobs)),
    propose: (delta, by) => write(`propose ${delta.kind}`, () => kb.propose(delta, by)),
    putBlob: (bytes) => write('blob', () => kb.putBlob(bytes)),
    getBlob: read('blob', (digest) => kb.getBlob(digest)),
    runEvents: read('events', (q) => kb.runEvents(q)),
    openRuns: read('open runs', () => kb.openRuns()),
    restoredAt: read('restored', () => kb.restoredAt()),
    find: read('find', (q) => kb.find(q)),
    search: read('search', (q) => kb.search(q)),
    taint: read('taint', (q) => kb.taint(q)),
    mailbox: read('mailbox', (q) => kb.mailbox(q)),
    why: read('why', (entity, raw) => kb.why(entity, raw)),
  };
}

/** Agents are read from disk, or built: nothing is chosen meanwhile. */
export function scheduledAgents(life: Life, agents: AgentSource): AgentSource {
  const held = async <T>(work: Promise<T>): Promise<T> => {
    using _busy = life.busy();
    return await work;
  };
  return {
    interfaces: (names) => held(agents.interfaces(names)),
    pin: (name) => held(agents.pin(name)),
    pinned: (name, digest) => held(agents.pinned(name, digest)),
  };
}

/**
 * Cells whose attempts wait for the schedule at each host call and at their end. While one computes, nothing else is
 * chosen; when the life ends, so does what computes.
 */
export function scheduledCells(life: Life, cells: Cells, faults: Faults): Cells {
  return {
    ...cells,
    stats: () => cells.stats(),
    async run(invocation, host, signal): Promise<AttemptOutcome> {
      const { node, attempt } = invocation.run;
      const name = `${node}#${attempt}`;
      const fault = faults.cell?.(node, attempt);
      const ending = new AbortController();
      life.onEnd(() => ending.abort());
      let computing = life.busy();
      let isOver = false;
      // What still comes from an attempt that is over holds nobody up.
      const resume = (): void => {
        computing[Symbol.dispose]();
        if (!isOver) computing = life.busy();
      };
      let calls = 0;
      const pause = async <T>(label: string, work: () => Promise<T>): Promise<T> => {
        const waiting = life.task(label, work);
        computing[Symbol.dispose]();
        const answer = await waiting;
        resume();
        return answer;
      };
      const scheduled: HostCalls = {
        call: async (op, args, callSignal) => {
          if (isOver || ending.signal.aborted) return new Promise(() => undefined);
          calls += 1;
          // Asked of the kernel only when it is chosen; what the kernel waits for is chosen by itself.
          await pause(`call ${name} ${String(calls).padStart(6, '0')} ${op}`, () => Promise.resolve());
          const asking = host.call(op, args, callSignal);
          computing[Symbol.dispose]();
          const answer = await asking;
          resume();
          if (fault !== undefined && answer.type !== 'suspend') ending.abort();
          return answer;
        },
        log: (level, text) => host.log(level, text),
        stdout: (text) => host.stdout(text),
        stderr: (text) => host.stderr(text),
      };
      using either = joinSignals(signal, ending.signal);
      const outcome = await cells.run(invocation, scheduled, either.signal);
      const told =
        fault !== undefined && !signal.aborted && outcome.type !== 'suspended' ? spoilt(fault, outcome) : outcome;
      isOver = true;
      const choosing = life.task(`outcome ${name}`, () => Promise.resolve());
      computing[Symbol.dispose]();
      await choosing;
      return told;
    },
  };
}

function spoilt(fault: 'lost' | 'bystander', { usage }: AttemptOutcome): AttemptOutcome {
  if (fault === 'bystander') return { type: 'suspended', reason: 'bystander', usage };
  return { type: 'failed', code: 'CellLost', reason: 'its cell was lost', retryable: true, usage };
}
