/**
 * One of our own programs with all that it imports, so that it starts fast: one script, its V8 code cache, and a few
 * lines of CommonJS that load the two. That takes a third of the time of its modules.
 *
 * The loader is written last, under the name that was asked for: where it is, the others are.
 */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { rolldown } from 'rolldown';
import type { BuilderAnswer, BundleJob } from '../builder-job.ts';
import { codeCache } from './code-cache.ts';

export async function bundleProgram(job: BundleJob): Promise<BuilderAnswer> {
  const bundle = await rolldown({
    input: job.entry,
    platform: 'node',
    logLevel: 'silent',
    treeshake: { moduleSideEffects: false },
    resolve: { conditionNames: [...(job.fromSource ? ['source'] : []), 'node', 'import', 'default'] },
  });
  const { output } = await bundle.generate({ format: 'cjs', codeSplitting: false, minify: true });
  await bundle.close();
  const code = `(function (require) {${output[0].code}\n})`;
  mkdirSync(dirname(job.out), { recursive: true });
  write(`${job.out}.js`, code);
  write(`${job.out}.cache`, codeCache(code, 'program.js'));
  write(job.out, loader);
  return { ok: true, bytes: code.length };
}

function write(path: string, content: string | Uint8Array): void {
  writeFileSync(`${path}.${process.pid}`, content);
  renameSync(`${path}.${process.pid}`, path);
}

/** Finds the two by its own name as it was called, so that a state directory can be moved. */
const loader: string = [
  "'use strict';",
  "const { readFileSync } = require('node:fs');",
  "const { Script } = require('node:vm');",
  'const self = process.argv[1];',
  "const options = { filename: 'program.js', cachedData: readFileSync(self + '.cache') };",
  "new Script(readFileSync(self + '.js', 'utf8'), options).runInThisContext()(require);",
].join('\n');
