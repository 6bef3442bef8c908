/**
 * What an agent's author sees: the request, the answer and the host.
 *
 * Host calls look synchronous: the agent stands still until the host has answered.
 */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };
export type JsonObject = { readonly [key: string]: JsonValue };

export type Request = {
  /** The node's `with`, its placeholders resolved. */
  readonly with: JsonObject;
  /** Values by input port, in the order of the opening's edges. */
  readonly inputs: { readonly [port: string]: readonly JsonValue[] };
};

/** One value on an output port; `type` is one that the manifest declares for it. */
export type Output = { readonly type: string; readonly value: JsonValue };
export type Answer = { readonly [port: string]: readonly Output[] };

export type RunInfo = {
  readonly trace_id: string;
  readonly run_id: string;
  readonly node: string;
  readonly attempt: number;
  /** Wall milliseconds that were left when the agent started. */
  readonly deadline_ms: number;
  readonly tokens_left?: number;
  /** The folder that the operator gave the run along, where `fs` grants any of it (`.`). */
  readonly folder?: string;
  /** Hex; the same for each attempt's replay. */
  readonly seed: string;
};

/** A call that takes and gives JSON; it throws a `HostError` when the host refused or failed. */
export type HostCall = (request: JsonObject) => JsonValue;

export interface Host {
  log(level: 'error' | 'warn' | 'info' | 'debug', text: string): void;
  readonly run: RunInfo;
  readonly model: { readonly complete: HostCall; readonly embed: HostCall };
  readonly kb: {
    readonly query: HostCall;
    readonly search: HostCall;
    readonly why: HostCall;
    readonly propose: HostCall;
  };
  readonly http: { readonly fetch: HostCall };
  readonly exec: { readonly run: HostCall };
  readonly tools: { readonly call: HostCall };
  readonly secrets: { readonly ref: HostCall };
  readonly mailbox: { readonly receive: HostCall; readonly send: HostCall };
  readonly mail: { readonly send: HostCall };
  readonly fs: {
    readonly stat: HostCall;
    readonly list: HostCall;
    readonly read: HostCall;
    readonly write: HostCall;
    readonly mkdir: HostCall;
    readonly remove: HostCall;
    readonly rename: HostCall;
    /** At the end of a file that exists: its size is looked at, then written at that size; `Busy` where it grew between. */
    readonly append: HostCall;
  };
  readonly clock: { readonly now: HostCall; readonly sleep: HostCall };
}

export type AgentDefinition = { handle(request: Request, host: Host): Answer };

/** The host refused or failed a call; `code` is a name of the error table, such as `CapabilityDenied`. */
export class HostError extends Error {
  readonly code: string;
  readonly retryable: boolean;
  constructor(code: string, message: string, retryable: boolean) {
    super(message);
    this.name = 'HostError';
    this.code = code;
    this.retryable = retryable;
  }
}

/** What an agent throws to fail with a reason of its own. */
export class AgentFailure extends Error {
  readonly retryable: boolean;
  constructor(reason: string, options: { readonly retryable: boolean }) {
    super(reason);
    this.name = 'AgentFailure';
    this.retryable = options.retryable;
  }
}
