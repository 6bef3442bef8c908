/**
 * The one table of failures: what kind each is, whether trying again can help, and the exit code of the command that meets it.
 *
 * A code without a row does not compile. Kinds are gRPC's names. Exit codes are those of docs/errors.md:
 * 1 the run or check failed, 2 usage, 65 bad input, 66 not found, 69 unavailable, 75 try again, 77 denied, 130 interrupted.
 */
export type ErrorKind =
  | 'InvalidArgument'
  | 'NotFound'
  | 'AlreadyExists'
  | 'PermissionDenied'
  | 'ResourceExhausted'
  | 'FailedPrecondition'
  | 'Aborted'
  | 'Cancelled'
  | 'DeadlineExceeded'
  | 'Unavailable'
  | 'DataLoss'
  | 'Internal';

export type ErrorRow = { readonly kind: ErrorKind; readonly retry: boolean; readonly exit: number };

/** RMP decoding failures, in the order in which they are checked. */
export const rmpErrorCodes = [
  'TruncatedHeader',
  'InvalidMagic',
  'UnsupportedVersion',
  'InvalidHeaderFlags',
  'BodyTooLarge',
  'LengthMismatch',
  'UnknownSchema',
  'InvalidTtl',
  'InvalidExpiry',
  'Expired',
  'BodyDecodeError',
  'BodyTypeMismatch',
  'Duplicate',
] as const;
export type RmpErrorCode = (typeof rmpErrorCodes)[number];

/** Failures of a session on the bus. */
export const sessionErrorCodes = [
  'HelloRequired',
  'Forbidden',
  'NotFound',
  'Conflict',
  'SlowConsumer',
  'LimitExceeded',
  'Internal',
] as const;
export type SessionErrorCode = (typeof sessionErrorCodes)[number];

export type ErrorCode =
  | RmpErrorCode
  | SessionErrorCode
  | 'Usage'
  | 'InvalidOpening'
  | 'InvalidParams'
  | 'InvalidConfig'
  | 'InvalidBundle'
  | 'InvalidDelta'
  | 'DigestMismatch'
  | 'SignatureInvalid'
  | 'BuildFailed'
  | 'CapabilityDenied'
  | 'ApprovalDenied'
  | 'ApprovalRequired'
  | 'BudgetExceeded'
  | 'UnknownPrice'
  | 'ProviderUnavailable'
  | 'ProviderFailed'
  | 'DaemonUnavailable'
  | 'Busy'
  | 'DeadlineExceeded'
  | 'Cancelled'
  | 'AgentFailed'
  | 'AgentTrapped'
  | 'OutOfMemory'
  | 'OutOfFuel'
  | 'OutputTooLarge'
  | 'CellLost'
  | 'ReplayDiverged'
  | 'RunFailed'
  | 'StorageFull'
  | 'StorageReadOnly'
  | 'StorageCorrupt'
  | 'StorageFailed'
  | 'NewerVersion';

export const errorTable: { readonly [code in ErrorCode]: ErrorRow } = {
  TruncatedHeader: { kind: 'InvalidArgument', retry: false, exit: 65 },
  InvalidMagic: { kind: 'InvalidArgument', retry: false, exit: 65 },
  UnsupportedVersion: { kind: 'InvalidArgument', retry: false, exit: 65 },
  InvalidHeaderFlags: { kind: 'InvalidArgument', retry: false, exit: 65 },
  BodyTooLarge: { kind: 'ResourceExhausted', retry: false, exit: 65 },
  LengthMismatch: { kind: 'InvalidArgument', retry: false, exit: 65 },
  UnknownSchema: { kind: 'InvalidArgument', retry: false, exit: 65 },
  InvalidTtl: { kind: 'InvalidArgument', retry: false, exit: 65 },
  InvalidExpiry: { kind: 'InvalidArgument', retry: false, exit: 65 },
  Expired: { kind: 'DeadlineExceeded', retry: true, exit: 75 },
  BodyDecodeError: { kind: 'InvalidArgument', retry: false, exit: 65 },
  BodyTypeMismatch: { kind: 'InvalidArgument', retry: false, exit: 65 },
  Duplicate: { kind: 'AlreadyExists', retry: false, exit: 65 },
  HelloRequired: { kind: 'FailedPrecondition', retry: false, exit: 69 },
  Forbidden: { kind: 'PermissionDenied', retry: false, exit: 77 },
  NotFound: { kind: 'NotFound', retry: false, exit: 66 },
  Conflict: { kind: 'Aborted', retry: false, exit: 65 },
  SlowConsumer: { kind: 'ResourceExhausted', retry: true, exit: 75 },
  LimitExceeded: { kind: 'ResourceExhausted', retry: true, exit: 75 },
  Internal: { kind: 'Internal', retry: false, exit: 1 },
  Usage: { kind: 'InvalidArgument', retry: false, exit: 2 },
  InvalidOpening: { kind: 'InvalidArgument', retry: false, exit: 65 },
  InvalidParams: { kind: 'InvalidArgument', retry: false, exit: 65 },
  InvalidConfig: { kind: 'InvalidArgument', retry: false, exit: 65 },
  InvalidBundle: { kind: 'InvalidArgument', retry: false, exit: 65 },
  InvalidDelta: { kind: 'InvalidArgument', retry: false, exit: 65 },
  DigestMismatch: { kind: 'DataLoss', retry: false, exit: 65 },
  SignatureInvalid: { kind: 'PermissionDenied', retry: false, exit: 65 },
  BuildFailed: { kind: 'InvalidArgument', retry: false, exit: 65 },
  CapabilityDenied: { kind: 'PermissionDenied', retry: false, exit: 77 },
  ApprovalDenied: { kind: 'PermissionDenied', retry: false, exit: 77 },
  ApprovalRequired: { kind: 'FailedPrecondition', retry: true, exit: 75 },
  BudgetExceeded: { kind: 'ResourceExhausted', retry: false, exit: 75 },
  UnknownPrice: { kind: 'FailedPrecondition', retry: false, exit: 65 },
  ProviderUnavailable: { kind: 'Unavailable', retry: true, exit: 69 },
  ProviderFailed: { kind: 'Unavailable', retry: true, exit: 69 },
  DaemonUnavailable: { kind: 'Unavailable', retry: true, exit: 69 },
  Busy: { kind: 'Unavailable', retry: true, exit: 75 },
  DeadlineExceeded: { kind: 'DeadlineExceeded', retry: true, exit: 1 },
  Cancelled: { kind: 'Cancelled', retry: false, exit: 130 },
  AgentFailed: { kind: 'Aborted', retry: true, exit: 1 },
  AgentTrapped: { kind: 'Aborted', retry: false, exit: 1 },
  OutOfMemory: { kind: 'ResourceExhausted', retry: false, exit: 1 },
  OutOfFuel: { kind: 'ResourceExhausted', retry: false, exit: 1 },
  OutputTooLarge: { kind: 'ResourceExhausted', retry: false, exit: 1 },
  CellLost: { kind: 'Unavailable', retry: true, exit: 1 },
  ReplayDiverged: { kind: 'DataLoss', retry: false, exit: 1 },
  RunFailed: { kind: 'Aborted', retry: false, exit: 1 },
  StorageFull: { kind: 'ResourceExhausted', retry: true, exit: 75 },
  StorageReadOnly: { kind: 'FailedPrecondition', retry: false, exit: 69 },
  StorageCorrupt: { kind: 'DataLoss', retry: false, exit: 69 },
  StorageFailed: { kind: 'FailedPrecondition', retry: false, exit: 69 },
  NewerVersion: { kind: 'FailedPrecondition', retry: false, exit: 65 },
};

/** A failure in the words of whoever meets it: what happened and where, and what to do about it. */
export type Failure = {
  readonly code: ErrorCode;
  readonly message: string;
  /** What the reader can do; shown on a line of its own. */
  readonly hint?: string;
  readonly details?: { readonly [key: string]: unknown };
};

export function failure(code: ErrorCode, message: string, more?: Omit<Failure, 'code' | 'message'>): Failure {
  return { code, message, ...more };
}

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorTable, text);
}
