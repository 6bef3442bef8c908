/**
 * C and Rust into a program for WASI preview 1, by the compilers of this host.
 *
 * 1. A compiler runs in the sandbox of commands: no network, no environment, a deadline; it reads the agent's folder and
 *    writes one scratch folder. Where that cannot be done nothing is compiled.
 * 2. What it says reaches the author with places relative to the agent's folder, as `src/main.c:3:5: error: …`.
 */
import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type Clock, err, type Failure, failure, ok, type Result } from '@runloop/core';
import type { Part } from './builder-job.ts';
import { runSandboxed } from './exec/run-sandboxed.ts';
import { builderMsMax } from './limits.ts';

export type SourceLanguage = 'c' | 'rust';

export const mainSources: { readonly [language in SourceLanguage]: string } = { c: 'src/main.c', rust: 'src/main.rs' };

type Tool = {
  readonly command: string;
  readonly missing: () => readonly string[];
  readonly argv: (dir: string, out: string) => readonly string[];
};

/** The sandbox shows a command /usr and nothing else of the host. */
const rustTargets = ['wasm32-wasip1', 'wasm32-wasi'] as const;
const rustTarget = (): string | undefined => rustTargets.find((target) => existsSync(`/usr/lib/rustlib/${target}/lib`));
const absent = (needs: readonly (readonly [path: string, debian: string])[]): readonly string[] =>
  needs.filter(([path]) => !existsSync(path)).map(([, name]) => name);

const tools: { readonly [language in SourceLanguage]: Tool } = {
  c: {
    command: '/usr/bin/clang',
    missing: () =>
      absent([
        ['/usr/bin/clang', 'clang'],
        ['/usr/bin/wasm-ld', 'lld'],
        ['/usr/lib/wasm32-wasi/crt1-command.o', 'wasi-libc'],
      ]),
    argv: (dir, out) => [
      '--target=wasm32-wasi',
      '-O2',
      '-Wall',
      '-Wl,--strip-all',
      '-o',
      out,
      ...readdirSync(join(dir, 'src'))
        .filter((name) => name.endsWith('.c'))
        .sort()
        .map((name) => join(dir, 'src', name)),
    ],
  },
  rust: {
    command: '/usr/bin/rustc',
    missing: () => [
      ...absent([
        ['/usr/bin/rustc', 'rustc'],
        ['/usr/bin/wasm-ld', 'lld'],
      ]),
      ...(rustTarget() === undefined ? ['libstd-rust-dev-wasm32'] : []),
    ],
    argv: (dir, out) => [
      '--edition=2021',
      '--target',
      rustTarget() ?? rustTargets[0],
      '-O',
      '-Cstrip=symbols',
      '-Cpanic=abort',
      '--color=never',
      '-o',
      out,
      join(dir, mainSources.rust),
    ],
  },
};

/** Debian's packages that compiling `language` needs and that are not here. */
export function missingTools(language: SourceLanguage): readonly string[] {
  const sandbox = existsSync('/usr/bin/bwrap') ? [] : ['bubblewrap'];
  return [...tools[language].missing(), ...sandbox, ...(language === 'c' && !hasBuiltins() ? [builtins] : [])];
}

const builtins = 'libclang-rt-dev-wasm32';
function hasBuiltins(): boolean {
  const clangs = existsSync('/usr/lib/clang') ? readdirSync('/usr/lib/clang') : [];
  return clangs.some((version) => existsSync(`/usr/lib/clang/${version}/lib/wasi/libclang_rt.builtins-wasm32.a`));
}

/** `dir` and `scratch` are real paths; the program is `scratch`/program.wasm. */
export async function compileProgram(
  deps: { readonly clock: Clock },
  language: SourceLanguage,
  dir: string,
  scratch: string,
): Promise<Result<string, Failure>> {
  const refuse = (what: string, hint?: string): Result<never, Failure> =>
    err(failure('BuildFailed', `agent ${dir}: ${what}`, hint === undefined ? {} : { hint }));
  const missing = missingTools(language);
  if (missing.length > 0)
    return refuse(
      `${mainSources[language]} cannot be compiled here: what is missing is in Debian's ${missing.join(', ')}`,
      `sudo apt-get install ${missing.join(' ')}`,
    );
  const out = join(scratch, 'program.wasm');
  const folders = [
    { path: dir, write: false },
    { path: scratch, write: true },
  ];
  const { signal } = new AbortController();
  const { command, argv } = tools[language];
  const ran = await runSandboxed(deps, { command, argv: argv(dir, out) }, { folders, wallMsMax: builderMsMax }, signal);
  if (!ran.ok) return refuse(ran.error.message, ran.error.hint);
  const { exitCode, stderr } = ran.value;
  if (exitCode === 0 && existsSync(out)) return ok(out);
  const said = stderr.replaceAll(`${dir}/`, '').trim();
  return err(failure('BuildFailed', said === '' ? `${command} ended with ${exitCode}` : said.slice(0, 4000)));
}

/** The compiler with its version, as it names itself. */
export async function compilerPart(
  deps: { readonly clock: Clock },
  language: SourceLanguage,
): Promise<readonly Part[]> {
  const { command } = tools[language];
  const { signal } = new AbortController();
  const ran = await runSandboxed(deps, { command, argv: ['--version'] }, { wallMsMax: builderMsMax }, signal);
  const version = ran.ok ? /\d+\.\d+\.\d+/.exec(ran.value.stdout)?.[0] : undefined;
  return version === undefined ? [] : [{ from: 'host', name: basename(command), version }];
}
