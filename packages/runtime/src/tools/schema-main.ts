/**
 * The schema thread: compiles one schema, checks one value, says what is wrong.
 *
 * It may be ended at any moment; it holds nothing.
 */
import { parentPort } from 'node:worker_threads';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { SchemaAnswer, SchemaQuestion } from './schema-message.ts';

function check({ schema, value }: SchemaQuestion): SchemaAnswer {
  const ajv = new Ajv2020({ strict: false, validateFormats: false, logger: false });
  try {
    const validate = ajv.compile(schema);
    return { fault: validate(value) === true ? undefined : ajv.errorsText(validate.errors, { dataVar: 'value' }) };
  } catch (error) {
    return { fault: `the schema cannot be used: ${error instanceof Error ? error.message : String(error)}` };
  }
}

parentPort?.on('message', (question: SchemaQuestion) => parentPort?.postMessage(check(question)));
parentPort?.postMessage({ fault: undefined } satisfies SchemaAnswer);
