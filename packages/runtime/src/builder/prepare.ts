/**
 * A component into what a cell loads: one script, its V8 code cache, and the core modules in one file.
 *
 * 1. Guarded before the transpiler sees it, and again after: names, then memory, tables and fuel.
 * 2. No guest code runs: the script is compiled and never called.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { $init, generate } from '@bytecodealliance/jco-transpile/component';
import { digestLarge } from '@runloop/core';
import type { BuilderAnswer, LayoutEntry, PrepareJob } from '../builder-job.ts';
import { suspendingImports } from '../cell/operations.ts';
import { guardComponent, guardModule } from '../wasm/guard.ts';
import { instrument } from '../wasm/instrument.ts';
import { codeCache } from './code-cache.ts';

const wrapper = { head: '(() => {', tail: '\nreturn instantiate;\n})()' } as const;

export async function prepareComponent(job: PrepareJob): Promise<BuilderAnswer> {
  const component = readFileSync(job.component);
  if ((await digestLarge(component)) !== job.digest)
    return { ok: false, code: 'DigestMismatch', message: 'the component is not the one that was checked' };
  const guarded = guardComponent(component);
  if (!guarded.ok) return { ok: false, code: guarded.error.code, message: guarded.error.message };
  await $init;
  const { files, exports } = generate(component, {
    name: 'agent',
    instantiation: { tag: 'async' },
    asyncMode: { tag: 'jspi', val: { imports: suspendingImports('0.1.0', job.wasi), exports: ['handle'] } },
    noNodejsCompat: true,
    noTypescript: true,
    base64Cutoff: 0,
  });
  if (!exports.some(([name, kind]) => name === 'handle' && kind === 'function'))
    return { ok: false, code: 'InvalidBundle', message: 'the component does not export the function handle' };
  const layout: LayoutEntry[] = [];
  const binaries: Uint8Array[] = [];
  let source: string | undefined;
  let offset = 0;
  for (const [path, bytes] of files) {
    const name = path.split('/').pop() ?? path;
    if (name.endsWith('.js')) source = new TextDecoder().decode(bytes);
    if (!name.endsWith('.wasm')) continue;
    const names = guardModule(bytes);
    if (!names.ok) return { ok: false, code: names.error.code, message: names.error.message };
    const metered = instrument(bytes, { memoryBytes: job.memoryBytes, fuel: BigInt(job.fuel) });
    if (!metered.ok) return { ok: false, code: metered.error.code, message: metered.error.message };
    layout.push({ name, offset, bytes: metered.value.length });
    binaries.push(metered.value);
    offset += metered.value.length;
  }
  if (source === undefined) return { ok: false, code: 'InvalidBundle', message: 'the transpiler wrote no script' };
  const code = Buffer.from(asScript(source));
  const cache = codeCache(code.toString('utf8'), 'agent.js');
  const modules = Buffer.concat(binaries);
  mkdirSync(job.outDir, { recursive: true });
  writeFileSync(join(job.outDir, 'agent.js'), code);
  writeFileSync(join(job.outDir, 'agent.cache'), cache);
  writeFileSync(join(job.outDir, 'modules.bin'), modules);
  const files256 = { code_sha256: sha256(code), cache_sha256: sha256(cache), modules_sha256: sha256(modules) };
  return { ok: true, files: { ...files256, layout } };
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The transpiler writes an ES module; as a script it can come with V8's code cache. */
function asScript(source: string): string {
  const body = source
    .replace('export function instantiate(', 'function instantiate(')
    .replace('export const _util', 'const _util')
    .replaceAll('import.meta.url', '""');
  if (/^\s*(?:import|export)\b/m.test(body))
    throw new Error('the transpiler wrote an import or export that is not expected');
  return wrapper.head + body + wrapper.tail;
}
