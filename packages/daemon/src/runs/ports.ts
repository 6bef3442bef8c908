/**
 * What runs need from their neighbours, in their own words; joined in daemon.ts.
 */
import type { BudgetUnit, Spent } from '@runloop/broker';
import type { Failure, JsonObject, JsonValue, Label, Result, RunEvent, RunEventKind } from '@runloop/core';
import type { BlobDraft, Kb } from '@runloop/kb';
import type { AgentInterface } from '@runloop/openings';
import type { AttemptOutcome, Bundle, Caps, Referents, Verdict } from '@runloop/runtime';

/** The ledger as runs see it: an append is answered only when it is durable. */
export type RunLedger = Pick<Kb, 'append' | 'putBlob' | 'getBlob' | 'runEvents' | 'openRuns' | 'restoredAt'>;

/** Agents by name for a new run, by digest for one that was accepted before. */
export interface AgentSource {
  /** The interfaces of those of `names` that exist. */
  interfaces(names: readonly string[]): Promise<Result<ReadonlyMap<string, AgentInterface>, Failure>>;
  /** Pins the agent of this name: its bundle is kept for as long as a tape names it. */
  pin(name: string): Promise<Result<Bundle, Failure>>;
  pinned(name: string, digest: string): Promise<Result<Bundle, Failure>>;
}

/** What the operator has decided beforehand. */
export interface OperatorWill {
  /** `security.confirm_external_actions`. */
  readonly confirms: boolean;
  /** Whether the text of this digest may loosen rules. */
  trusts(openingDigest: string): boolean;
  /** Whether what this very bundle gives is no secret any more. */
  declassifies(bundleDigest: string): boolean;
}

/** Bundles whose sandbox fails again and again are held back for a while. */
export interface QuarantinePort {
  /** Why the bundle may not run now. */
  refusal(bundle: Bundle): Failure | undefined;
  note(bundle: Bundle, outcome: AttemptOutcome): Promise<void>;
}

export type CallScope = {
  readonly traceId: string;
  readonly runId: string;
  readonly opening: string;
  readonly node: string;
  readonly attempt: number;
  readonly bundle: Bundle;
  /** What of its capabilities is in force. */
  readonly caps: Caps;
  readonly actor: string;
  readonly callId: string;
  /** Of all that the agent has seen by now: what it writes carries it. */
  readonly label: Label;
  /** A person has agreed to this very call. */
  readonly approved: boolean;
  /** The call was begun before and has no result. */
  readonly repeated: boolean;
  /** Takes what a model says while it says it; what it takes nobody has checked. */
  readonly onDelta?: (text: string) => void;
  /** Events that the node's work rests on so far. */
  readonly evidence: readonly number[];
  readonly budgets: {
    readonly runTokens?: number;
    readonly nodeTokens?: number;
    readonly runUsd?: number;
    /** Of the nested openings that the node stands in. */
    readonly groups?: readonly { readonly id: string; readonly tokens?: number; readonly usd?: number }[];
  };
};

/** On whose account a call goes. */
export type Spender = Pick<CallScope, 'traceId' | 'opening' | 'actor' | 'node' | 'attempt' | 'bundle' | 'budgets'>;

/** What came of a host call that the kernel had let through, and the events that tell of it. */
export type Performed = {
  readonly result:
    | { readonly ok: true; readonly value: JsonValue; readonly label?: Label }
    | { readonly ok: false; readonly code: string; readonly message: string; readonly retryable: boolean };
  readonly events?: readonly RunDraft[];
  /** The budget that had no room for the call, which was not made. */
  readonly exhausted?: Exhausted;
};

/** `left` is below 0 where more was used than was reserved. */
export type Exhausted = {
  readonly level: string;
  readonly key: string;
  readonly unit: BudgetUnit;
  readonly cap: number;
  readonly left: number;
  readonly needed: number;
};
/** `action` is the request that was granted by it. */
export type Raised = {
  readonly action: string;
  readonly key: string;
  readonly unit: BudgetUnit;
  readonly amount: number;
};

/** Performs host calls: one implementation for each operation, joined in host/. */
export interface HostPerformer {
  /** Whether the call, performed again under the same call id, does nothing a second time. */
  repeats(op: string): boolean;
  /** What the call needs beside the grant of its operation, and does not have. */
  missing?(op: string, args: JsonValue, scope: CallScope): Verdict | undefined;
  /** Digests of what the arguments refer to. */
  referents?(op: string, args: JsonValue, scope: CallScope): Promise<Referents>;
  /** Whether a call that may or may not be asked about is: it writes where something is executed later. */
  leaves(op: string, args: JsonValue, caps: Caps): Promise<boolean>;
  /** Whether a model that takes private data serves this request. */
  cleared(args: JsonValue): boolean;
  /** Books a model call whose answer was lost, at the most that it can have cost; undefined where nobody serves it. */
  forfeit?(op: string, args: JsonObject, spender: Spender): Spent | undefined;
  raise?(raised: Raised): void;
  /** Undefined where the call was made and nobody knows what came of it. */
  perform(op: string, args: JsonValue, scope: CallScope, signal: AbortSignal): Promise<Performed | undefined>;
}

/** An event of a run before it has a sequence number and a time. */
export type RunDraft = {
  readonly kind: RunEventKind;
  readonly level: RunEvent['level'];
  readonly message: string;
  readonly meta: JsonObject;
  /** What it names and is not durable yet. */
  readonly blobs?: readonly BlobDraft[];
};

/** Tells the world that something new stands on the ledger, or was said in passing. */
export interface RunPublisher {
  published(event: RunEvent): void;
  lossy(event: RunEvent): void;
}
