/**
 * Checks values against schemas of bundles, in a thread of their own with a deadline.
 *
 * 1. One check at a time. A thread that does not answer in time is ended, and the next check gets a new one.
 * 2. The thread starts at the first check and does not keep the process.
 */
import type { Worker } from 'node:worker_threads';
import {
  type Clock,
  type Failure,
  type JsonObject,
  type JsonValue,
  type Result,
  err,
  failure,
  ok,
  startModuleThread,
} from '@runloop/core';
import { schemaMsMax, schemaStartMsMax, schemaThreadMib } from '../limits.ts';
import type { SchemaAnswer, SchemaQuestion } from './schema-message.ts';

export interface SchemaChecks extends AsyncDisposable {
  /** Fails with `InvalidParams` and what is wrong. */
  check(schema: JsonObject, value: JsonValue): Promise<Result<void, Failure>>;
}

export function createSchemaChecks({ clock }: { readonly clock: Clock }): SchemaChecks {
  let worker: Worker | undefined;
  let turn: Promise<unknown> = Promise.resolve();
  const answer = async (thread: Worker, msMax: number): Promise<SchemaAnswer> => {
    const said = Promise.withResolvers<SchemaAnswer>();
    using _deadline = clock.after(msMax, () => said.resolve({ fault: `the schema took longer than ${msMax} ms` }));
    const onMessage = (message: SchemaAnswer): void => {
      thread.off('exit', onExit);
      said.resolve(message);
    };
    const onExit = (): void => said.resolve({ fault: 'the schema took more memory than there is for it' });
    thread.once('message', onMessage).once('exit', onExit);
    const found = await said.promise;
    thread.off('message', onMessage).off('exit', onExit);
    return found;
  };
  const end = async (): Promise<void> => {
    const thread = worker;
    worker = undefined;
    await thread?.terminate();
  };
  const ask = async (question: SchemaQuestion): Promise<string | undefined> => {
    if (worker === undefined) {
      worker = start();
      const { fault } = await answer(worker, schemaStartMsMax);
      if (fault !== undefined) {
        await end();
        return fault;
      }
    }
    worker.postMessage(question);
    const { fault } = await answer(worker, schemaMsMax);
    if (fault?.startsWith('the schema took') === true) await end();
    return fault;
  };
  return {
    async check(schema, value) {
      const asked = turn.then(() => ask({ schema, value }));
      turn = asked.catch(() => undefined);
      const fault = await asked;
      return fault === undefined ? ok(undefined) : err(failure('InvalidParams', fault.slice(0, 1000)));
    },
    async [Symbol.asyncDispose]() {
      await turn;
      await end();
    },
  };
}

function start(): Worker {
  const worker = startModuleThread(import.meta.url, 'schema-main', {
    name: 'schemas',
    env: {},
    resourceLimits: { maxOldGenerationSizeMb: schemaThreadMib, maxYoungGenerationSizeMb: 4 },
  });
  worker.on('error', () => {});
  worker.unref();
  return worker;
}
