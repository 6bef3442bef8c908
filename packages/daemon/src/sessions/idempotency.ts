/**
 * Operations that change something run once for each (principal, trace id), however often they are asked.
 *
 * 1. The same operation with the same arguments gets the same result, also while the first still runs.
 * 2. Other arguments under the same key are a Conflict.
 * 3. A failure that may pass (the error table says so) is forgotten, so that trying again tries again.
 * 4. At most `idempotencyKeysMax` keys, each for `idempotencyMs`; the oldest that has finished leaves first.
 *
 * It lives in memory: what must hold across a restart, the operation itself keeps by its trace id.
 */
import { hash } from 'node:crypto';
import { type Clock, type Failure, type Result, canonicalJson, err, errorTable, failure } from '@runloop/core';
import type { SessionLimits } from './limits.ts';

const changing: ReadonlySet<string> = new Set([
  'daemon.drain',
  'run.submit',
  'run.pause',
  'run.resume',
  'run.step',
  'run.cancel',
  'run.fork',
  'action.decide',
  'action.edit',
  'kb.propose',
  'kb.import',
  'kb.forget',
  'kb.backup',
  'agent.install',
  'agent.remove',
  'agent.rollback',
  'agent.release',
  'token.issue',
  'token.revoke',
  'token.rotate',
  'secrets.init',
  'secrets.put',
  'secrets.rotate',
  'secrets.delete',
]);

export function changesSomething(op: string): boolean {
  return changing.has(op);
}

type Answer = Result<unknown, Failure>;
type Entry = { readonly asked: string; readonly answer: Promise<Answer>; readonly atMs: number; done: boolean };

export interface Idempotency {
  once(
    key: { principal: string; traceId: string; op: string; args: unknown },
    run: () => Promise<Answer>,
  ): Promise<Answer>;
  readonly size: number;
}

export function createIdempotency(
  clock: Clock,
  limits: Pick<SessionLimits, 'idempotencyKeysMax' | 'idempotencyMs'>,
): Idempotency {
  const entries = new Map<string, Entry>();

  const makeRoom = (nowMs: number): boolean => {
    for (const [key, entry] of entries) {
      if (!entry.done) continue;
      if (entry.atMs + limits.idempotencyMs > nowMs && entries.size < limits.idempotencyKeysMax) break;
      entries.delete(key);
    }
    return entries.size < limits.idempotencyKeysMax;
  };

  return {
    get size() {
      return entries.size;
    },
    once({ principal, traceId, op, args }, run) {
      const text = canonicalJson(args ?? null);
      if (!text.ok)
        return answered('InvalidParams', `${op}: the arguments are not JSON at ${text.error.path}: ${text.error.why}`);
      const nowMs = clock.nowMs();
      const key = `${principal} ${traceId}`;
      const asked = `${op} ${hash('sha256', text.value)}`;
      const known = entries.get(key);
      if (known !== undefined && known.atMs + limits.idempotencyMs > nowMs) {
        if (known.asked === asked) return known.answer;
        return answered('Conflict', `${op}: trace id ${traceId} was already used for another change`);
      }
      entries.delete(key);
      if (!makeRoom(nowMs)) return answered('LimitExceeded', `${limits.idempotencyKeysMax} changes are under way`);
      const entry: Entry = { asked, answer: run(), atMs: nowMs, done: false };
      entries.set(key, entry);
      void entry.answer.then(
        (answer) => {
          entry.done = true;
          if (!answer.ok && errorTable[answer.error.code].retry) entries.delete(key);
        },
        () => void entries.delete(key),
      );
      return entry.answer;
    },
  };
}

function answered(code: 'InvalidParams' | 'Conflict' | 'LimitExceeded', message: string): Promise<Answer> {
  const hint = code === 'Conflict' ? { hint: 'Use a new trace id for each change.' } : {};
  return Promise.resolve(err(failure(code, message, hint)));
}
