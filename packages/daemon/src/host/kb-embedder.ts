/**
 * A model of `models.broker.route` as the knowledge base's embedder: each request goes through the broker, as private data,
 * and what it cost is told on the ledger.
 */
import { type Clock, err, type JsonObject, ok } from '@runloop/core';
import { type Embedder, hashNgramId, type Kb } from '@runloop/kb';
import type { Models } from './models.ts';

export type KbEmbedderDeps = {
  readonly clock: Clock;
  /** Opened after the knowledge base, which asks only when it is searched. */
  readonly opened: () => { readonly models: Pick<Models, 'embed'>; readonly kb: Pick<Kb, 'append'> };
};

/** None where `kb.embedder` names the built-in one. */
export function kbEmbedder({ clock, opened }: KbEmbedderDeps, name: string): Embedder | undefined {
  if (name === hashNgramId) return undefined;
  return {
    id: name,
    async embed(texts, signal) {
      const { models, kb } = opened();
      const { outcome, spent } = await models.embed(name, texts, signal);
      const ts_ms = clock.nowMs();
      const event = (kind: string, meta: JsonObject): Parameters<Kb['append']>[0][number] => ({
        ts_ms,
        actor: 'daemon',
        kind,
        scope: 'kb',
        payload: {
          // Of no run: what the kinds ask for is said of the knowledge base itself.
          run_id: 'kb',
          opening_id: 'kb',
          level: 'info',
          message: `kb embedded ${texts.length} texts with ${name}.`,
          meta: { node: 'kb.embed', attempt: 0, agent: 'kb', ...meta },
        },
        provenance: {},
      });
      const events = spent.map((one) => event('budget.settled', one));
      if (outcome.ok && outcome.value.called.cache !== 'hit') events.push(event('model.called', outcome.value.called));
      const booked = events.length === 0 ? ok([]) : await kb.append(events);
      if (!booked.ok) return booked;
      if (!outcome.ok) return err(outcome.error);
      return ok(outcome.value.vectors.map((vector) => Float32Array.from(vector)));
    },
  };
}
