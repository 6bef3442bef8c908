/**
 * The two kinds of call, as the paid part of a call takes them: how each bounds its tokens and is performed.
 */
import type { BrokerConfig } from './broker-config.ts';
import type { Embedded } from './dialects/dialect.ts';
import { imagesOf, promptTokensMax } from './estimate.ts';
import { answerTokensDefault } from './limits.ts';
import type { Operation } from './paid-call.ts';
import type { Answer, CallContext, CompletionRequest, EmbedRequest } from './request.ts';

export function completion(config: BrokerConfig, request: CompletionRequest, ctx: CallContext): Operation<Answer> {
  const promptTokens = promptTokensMax(request);
  const cap = Math.min(config.budgets.caps.call.tokens ?? Infinity, ctx.budgets?.call?.tokens ?? Infinity);
  return {
    promptTokens,
    images: imagesOf(request),
    maxTokens: request.max_tokens ?? Math.max(1, Math.min(answerTokensDefault, cap - promptTokens)),
    onDelta: (text) => ctx.onDelta?.(text),
    perform: (provider, attempt) => provider.complete(request, attempt),
    usage: ({ usage }) => usage,
  };
}

export function embedding(request: EmbedRequest): Operation<Embedded> {
  return {
    promptTokens: request.texts.reduce((sum, text) => sum + Buffer.byteLength(text) + 2, 0),
    images: 0,
    maxTokens: 0,
    onDelta: () => undefined,
    perform: (provider, attempt) => provider.embed(request, attempt),
    usage: ({ tokens_in }) => ({ tokens_in, tokens_out: 0 }),
  };
}
