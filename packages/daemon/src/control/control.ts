/**
 * The control port: one table of operations behind `rlp/ctrl`.
 */
import { err, failure, type Failure, nearest, type Result } from '@runloop/core';
import type { ControlPort, ControlRequest } from '../sessions/index.ts';
import { Args, type Operations } from './operation.ts';

export function createControl(operations: Operations): ControlPort {
  return {
    call({ op, args, principal, traceId, signal }: ControlRequest): Promise<Result<unknown, Failure>> {
      const operation = Object.hasOwn(operations, op) ? operations[op] : undefined;
      if (operation === undefined) {
        const near = nearest(op, Object.keys(operations));
        return Promise.resolve(
          err(
            failure(
              'NotFound',
              `there is no operation "${op.slice(0, 64)}"`,
              near === undefined ? {} : { hint: `did you mean ${near}?` },
            ),
          ),
        );
      }
      return operation(new Args(op, args), { principal, traceId, signal });
    },
  };
}
