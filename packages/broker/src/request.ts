/**
 * What agents ask of models, and what they get: the shapes on the broker's door. Wire names are snake_case.
 */
import type { JsonObject } from '@runloop/core';

export type Part =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'image'; readonly media_type: string; readonly data_base64: string };
export type ToolCall = {
  readonly id: string;
  readonly name: string;
  /** JSON text. */
  readonly arguments: string;
  /** What some providers want back with the call, as they gave it. */
  readonly signature?: string;
};
export type Message = {
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  readonly content: string | readonly Part[];
  readonly tool_calls?: readonly ToolCall[] | undefined;
  readonly tool_call_id?: string | undefined;
};
export type Tool = {
  readonly name: string;
  readonly description?: string | undefined;
  readonly parameters: JsonObject;
};

export type CompletionRequest = {
  /** A model name that the routes know; without it, the configured default. */
  readonly model?: string | undefined;
  readonly messages: readonly Message[];
  readonly tools?: readonly Tool[] | undefined;
  readonly response_format?: JsonObject | undefined;
  readonly temperature?: number | undefined;
  readonly top_p?: number | undefined;
  readonly seed?: number | undefined;
  readonly stop?: readonly string[] | undefined;
  readonly max_tokens?: number | undefined;
  readonly stream?: boolean | undefined;
  /** By kind of provider, from the allow-list of provider-options.ts. */
  readonly provider_options?: JsonObject | undefined;
  /** Caches although the temperature is not 0. */
  readonly cache?: boolean | undefined;
};

export type EmbedRequest = { readonly model?: string | undefined; readonly texts: readonly string[] };

/** An amount of what budgets count; a level without a member has no cap on it, 0 means nothing may be spent. */
export type Amounts = {
  readonly tokens?: number | undefined;
  readonly tokens_in?: number | undefined;
  readonly tokens_out?: number | undefined;
  readonly usd_nano?: number | undefined;
  readonly calls?: number | undefined;
  /** Time of providers at work, waits in our own queue not counted. */
  readonly wall_ms?: number | undefined;
};

export type CallContext = {
  readonly run: string;
  readonly node: string;
  readonly agent: string;
  /** Who submitted the run, and the opening that it is of: a day's caps of each. */
  readonly user?: string | undefined;
  readonly opening?: string | undefined;
  /** Who owns the cache entry, and the secrecy label of what is asked. */
  readonly owner?: string | undefined;
  readonly secrecy?: 'public' | 'private' | undefined;
  /** Whether an outsider may have written what is asked: untrusted where left out. */
  readonly trust?: 'trusted' | 'untrusted' | undefined;
  /** This provider alone, without fallbacks: for trying it out. */
  readonly only?: string | undefined;
  /** A person has agreed that what is private goes to whoever serves the request. */
  readonly agreed?: boolean | undefined;
  readonly budgets?:
    | {
        readonly run?: Amounts | undefined;
        /** What a part of the run may spend, by the id under which the node's begins: `a/b` holds `a/b/n`. */
        readonly groups?: readonly (Amounts & { readonly id: string })[] | undefined;
        readonly node?: Amounts | undefined;
        readonly agent?: Amounts | undefined;
        readonly call?: Amounts | undefined;
      }
    | undefined;
  /** Called with each piece of a streamed answer. */
  readonly onDelta?: ((text: string) => void) | undefined;
  /** Called for each attempt that was made and not answered: it is booked at its bound. */
  readonly onSpent?: ((spent: Spent) => void) | undefined;
  /** Called for each call that the broker made for this one: the embedding by which the semantic cache looks. */
  readonly onCalled?: ((called: ModelCalled) => void) | undefined;
  /** Called where a provider used more than was reserved: an alarm. */
  readonly onOverrun?: ((overrun: Overrun) => void) | undefined;
};

/** `frozen` are the keys of the levels that take no more calls until the operator lifts it. */
export type Overrun = {
  readonly provider: string;
  readonly model: string;
  readonly used: Usage & { readonly usd_nano: number };
  readonly reserved: Usage & { readonly usd_nano: number };
  readonly frozen: readonly string[];
};

/** A call that nobody answered, at the most that it can have cost. */
export type Spent = Usage & {
  readonly provider: string;
  readonly model: string;
  readonly usd_nano: number;
  readonly latency_ms: number;
};

export type Usage = { readonly tokens_in: number; readonly tokens_out: number };
export type CacheState = 'hit' | 'miss' | 'shared' | 'semantic';
export type Latency = { readonly queue_ms: number; readonly first_token_ms: number; readonly total_ms: number };

/** What the run event `model.called` says of the call. */
export type ModelCalled = {
  readonly model: string;
  readonly provider: string;
  readonly tokens_in: number;
  readonly tokens_out: number;
  readonly usd_nano: number;
  readonly cache: CacheState;
  readonly latency_ms: number;
  /** Providers that were tried before and failed, with their codes. */
  readonly fallback_from: readonly string[];
  /** What a cache hit would have cost. */
  readonly saved_usd_nano: number;
};

export type Answer = {
  readonly text: string;
  readonly tool_calls: readonly ToolCall[];
  readonly finish_reason: string;
  readonly usage: Usage;
  readonly model_version: string;
};
export type Completion = Answer & { readonly called: ModelCalled; readonly latency: Latency };
export type Embedding = {
  readonly vectors: readonly (readonly number[])[];
  readonly dimension: number;
  readonly called: ModelCalled;
};
