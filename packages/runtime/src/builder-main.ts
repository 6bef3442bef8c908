/**
 * The builder: a short-lived process that does one job and ends, so that whatever its input does to it dies with it.
 *
 * Each job's tools are loaded for it alone: `prepare` runs without native addons.
 *
 * Jobs come as one JSON object on standard input; the answer is one JSON line on standard output.
 * - `build`: an agent's TypeScript source → one JavaScript module → a component.
 * - `adapt`: a compiled program → a component. No guest code runs.
 * - `prepare`: a component → guard → transpile → guard → clamp and meter → files for a cell. No guest code runs.
 * - `bundle`: the cell's own program into one file, so that a cell starts fast.
 * - `unpack`: a bundle's archive → its files in one folder.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import type { BuilderAnswer, BuilderJob } from './builder-job.ts';

async function work(job: BuilderJob): Promise<BuilderAnswer> {
  switch (job.type) {
    case 'build':
      return (await import('./builder/build.ts')).buildComponent(job);
    case 'adapt':
      return (await import('./builder/adapt.ts')).adaptProgram(job);
    case 'prepare':
      return (await import('./builder/prepare.ts')).prepareComponent(job);
    case 'bundle':
      return (await import('./builder/bundle-program.ts')).bundleProgram(job);
    case 'unpack':
      return (await import('./builder/unpack.ts')).unpackArchive(job);
    default:
      return job satisfies never;
  }
}

const job = JSON.parse(readFileSync(0, 'utf8')) as BuilderJob;
let answer: BuilderAnswer;
try {
  answer = await work(job);
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  answer = {
    ok: false,
    code: job.type === 'prepare' || job.type === 'adapt' || job.type === 'unpack' ? 'InvalidBundle' : 'BuildFailed',
    message: message.slice(0, 4000),
  };
}
writeFileSync(1, `\n${JSON.stringify(answer)}\n`);
process.exit(0);
