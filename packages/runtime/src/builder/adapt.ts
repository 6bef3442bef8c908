/**
 * A compiled program into a component: a core module of WASI preview 1 gets the adapter around it that its authors publish.
 *
 * The adapter lies in `@bytecodealliance/jco`, of which nothing else is used (decision 0301).
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { componentNew } from '@bytecodealliance/jco-transpile/wasm-tools';
import type { AdaptJob, BuilderAnswer, Part } from '../builder-job.ts';
import { componentBytesMax } from '../limits.ts';
import { componentPreamble, corePreamble } from '../wasm/bytes.ts';
import { toolPackage } from './packages.ts';

const adapterPath = '../lib/wasi_snapshot_preview1.command.wasm';

export async function adaptProgram(job: AdaptJob): Promise<BuilderAnswer> {
  const refuse = (message: string): BuilderAnswer => ({ ok: false, code: 'InvalidBundle', message });
  const program = readFileSync(job.program);
  if (program.length > componentBytesMax)
    return refuse(`the program has ${program.length} bytes, more than ${componentBytesMax}`);
  let bundled: readonly Part[] = [];
  if (begins(program, componentPreamble)) writeFileSync(job.out, program);
  else if (begins(program, corePreamble)) {
    const adapter = readFileSync(fileURLToPath(new URL(adapterPath, import.meta.resolve('@bytecodealliance/jco'))));
    writeFileSync(job.out, await componentNew(program, [['wasi_snapshot_preview1', adapter]]));
    bundled = toolPackage('@bytecodealliance/jco');
  } else return refuse('the program is no WebAssembly');
  return { ok: true, parts: { bundled, tools: toolPackage('@bytecodealliance/jco-transpile/wasm-tools') } };
}

function begins(bytes: Uint8Array, preamble: readonly number[]): boolean {
  return preamble.every((byte, at) => bytes[at] === byte);
}
