/**
 * Tries a model for real: at each provider of its route one small answer, one stream and one with a tool.
 *
 * 1. What it costs is reserved and metered as any call is; no answer comes from the cache.
 * 2. Where the first call fails, the others are not made: what is wrong is said once.
 */
import type { Broker, CallContext, CompletionRequest } from '@runloop/broker';
import type { Failure } from '@runloop/core';

export type TriedStep = {
  readonly step: 'answer' | 'stream' | 'tools';
  readonly state: 'ok' | 'warning' | 'error';
  readonly says: string;
  readonly hint?: string;
  readonly first_token_ms: number;
  readonly total_ms: number;
  readonly tokens_in: number;
  readonly tokens_out: number;
  readonly usd_nano: number;
};
export type TriedProvider = {
  readonly provider: string;
  readonly model: string;
  readonly kind: string;
  readonly ok: boolean;
  readonly steps: readonly TriedStep[];
};

const ask = (text: string, more: Partial<CompletionRequest> = {}): CompletionRequest => ({
  messages: [{ role: 'user', content: text }],
  max_tokens: 64,
  ...more,
});
const tool = {
  name: 'tell_time',
  description: 'Tells what time it is.',
  parameters: { type: 'object', properties: { place: { type: 'string' } }, required: ['place'] },
};

export async function tryModel(
  broker: Pick<Broker, 'targets' | 'complete'>,
  model: string,
  ctx: CallContext,
  signal: AbortSignal,
): Promise<readonly TriedProvider[]> {
  const tried: TriedProvider[] = [];
  for (const { provider, model: name, kind } of broker.targets(model)) {
    const steps: TriedStep[] = [];
    const perform = async (step: TriedStep['step'], request: CompletionRequest): Promise<boolean> => {
      let pieces = 0;
      const own = { ...ctx, only: provider, onDelta: () => void (pieces += 1) };
      const done = await broker.complete({ ...request, model }, own, signal);
      if (!done.ok) {
        steps.push(failed(step, done.error));
        return false;
      }
      const { called, latency, tool_calls: calls } = done.value;
      const { tokens_in, tokens_out, usd_nano } = called;
      const { first_token_ms, total_ms } = latency;
      const noCall = step === 'tools' && calls.length === 0;
      const words = step === 'stream' ? `${pieces} pieces` : noCall ? 'took the tool and did not call it' : 'answered';
      const state = noCall || (step === 'stream' && pieces === 0) ? 'warning' : 'ok';
      steps.push({ step, state, says: words, first_token_ms, total_ms, tokens_in, tokens_out, usd_nano });
      return true;
    };
    if (await perform('answer', ask('Reply with one word: ready'))) {
      await perform('stream', ask('Count from one to five, in words.', { stream: true }));
      await perform('tools', ask('What time is it in Oslo? Use the tool.', { tools: [tool] }));
    }
    tried.push({ provider, model: name, kind, ok: steps.every(({ state }) => state !== 'error'), steps });
  }
  return tried;
}

function failed(step: TriedStep['step'], { code, message, hint }: Failure): TriedStep {
  const nothing = { first_token_ms: 0, total_ms: 0, tokens_in: 0, tokens_out: 0, usd_nano: 0 };
  return { step, state: 'error', says: `${code}: ${message}`, ...(hint === undefined ? {} : { hint }), ...nothing };
}
