/**
 * What goes wrong with a file, under the names that WASI has for it.
 *
 * The message of every failed file call ends with that name in brackets, so that a cell can give a program its error code.
 */
import type { ErrorCode } from '@runloop/core';
import type { CallResult } from '../kernel/kernel.ts';

export type FileFault =
  | 'access'
  | 'not-permitted'
  | 'read-only'
  | 'loop'
  | 'cross-device'
  | 'no-entry'
  | 'exist'
  | 'not-directory'
  | 'is-directory'
  | 'not-empty'
  | 'busy'
  | 'insufficient-space'
  | 'file-too-large'
  | 'overflow'
  | 'invalid'
  | 'illegal-byte-sequence'
  | 'io';

const codes: { readonly [fault in FileFault]: ErrorCode } = {
  access: 'CapabilityDenied',
  'not-permitted': 'CapabilityDenied',
  'read-only': 'CapabilityDenied',
  loop: 'CapabilityDenied',
  'cross-device': 'CapabilityDenied',
  'no-entry': 'NotFound',
  exist: 'Conflict',
  'not-directory': 'InvalidParams',
  'is-directory': 'InvalidParams',
  'not-empty': 'Conflict',
  busy: 'Busy',
  'insufficient-space': 'LimitExceeded',
  'file-too-large': 'LimitExceeded',
  overflow: 'LimitExceeded',
  invalid: 'InvalidParams',
  'illegal-byte-sequence': 'InvalidParams',
  io: 'Internal',
};

export class FileFailure extends Error {
  readonly fault: FileFault;
  constructor(fault: FileFault, message: string) {
    super(message);
    this.fault = fault;
  }
}

export function refusedCall(error: FileFailure): CallResult {
  return {
    ok: false,
    code: codes[error.fault],
    message: `${error.message} (${error.fault})`,
    retryable: error.fault === 'busy',
  };
}

const faults: { readonly [errno: string]: FileFault } = {
  ENOENT: 'no-entry',
  EEXIST: 'exist',
  ENOTDIR: 'not-directory',
  EISDIR: 'is-directory',
  ENOTEMPTY: 'not-empty',
  ELOOP: 'loop',
  EACCES: 'access',
  EPERM: 'not-permitted',
  EROFS: 'read-only',
  EXDEV: 'cross-device',
  EBUSY: 'busy',
  ETXTBSY: 'busy',
  ENOSPC: 'insufficient-space',
  EDQUOT: 'insufficient-space',
  EFBIG: 'file-too-large',
  EINVAL: 'invalid',
  ENAMETOOLONG: 'invalid',
};

const words: { readonly [fault in FileFault]?: string } = {
  'no-entry': 'does not exist',
  exist: 'exists already',
  'not-directory': 'is no directory',
  'is-directory': 'is a directory',
  'not-empty': 'is not empty',
  access: 'is closed to the user that Runloop runs as',
  'not-permitted': 'is closed to the user that Runloop runs as',
  'read-only': 'lies on a file system that is read-only',
  'insufficient-space': 'cannot be written: the file system is full',
};

/** What the system refused, told of the path that was asked for and never of how it was reached. */
export function systemFailure(error: unknown, path: string): FileFailure {
  if (error instanceof FileFailure) return error;
  const errno = String((error as { code?: unknown } | null)?.code ?? error);
  const fault = faults[errno] ?? 'io';
  return new FileFailure(fault, `${path} ${words[fault] ?? `failed: ${errno}`}`);
}
