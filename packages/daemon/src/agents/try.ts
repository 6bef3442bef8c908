/**
 * Runs an agent for its author, without a daemon: in a real cell, with a host that answers from a table and refuses the rest.
 *
 * Nothing is recorded, and nothing leaves: what the table does not answer is refused as the kernel would.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  canonicalJson,
  type Clock,
  err,
  type Failure,
  failure,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  ok,
  parseJson,
  type Result,
  systemRandom,
  toHex,
} from '@runloop/core';
import { type AttemptOutcome, type Bundle, createCells, hostKey } from '@runloop/runtime';

export type Tried = {
  readonly outcome: AttemptOutcome;
  readonly log: readonly string[];
  /** Host calls that nothing answered. */
  readonly refused: readonly string[];
};
export type TryRequest = {
  readonly with?: JsonObject;
  readonly inputs?: { readonly [port: string]: readonly JsonValue[] };
  /** Answers by operation, such as `model.complete`. */
  readonly host?: JsonObject;
};
export type CaseResult = { readonly name: string; readonly ok: boolean; readonly why?: string };
type TryDeps = { readonly root: string; readonly clock: Clock };

export async function tryAgent(
  { root, clock }: TryDeps,
  bundle: Bundle,
  request: TryRequest,
  signal: AbortSignal,
): Promise<Result<Tried, Failure>> {
  const key = await hostKey(join(root, 'keys'));
  if (!key.ok) return key;
  await using cells = createCells(
    { clock, random: systemRandom, log: { log: () => undefined }, hostKey: key.value },
    { cacheDir: join(root, 'cache', 'cells'), spares: 0 },
  );
  const log: string[] = [];
  const refused: string[] = [];
  const answers = request.host ?? {};
  const run = {
    trace_id: '0'.repeat(32),
    run_id: 'run_try',
    node: 'try',
    attempt: 1,
    seed: toHex(new Uint8Array(32)),
    accepted_ms: clock.nowMs(),
    deadline_ms: bundle.caps.limits.wall_ms,
  };
  const outcome = await cells.run(
    { bundle, run, request: { with: request.with ?? {}, inputs: request.inputs ?? {} } },
    {
      call(op) {
        const answer = Object.hasOwn(answers, op) ? answers[op] : undefined;
        if (answer !== undefined) return Promise.resolve({ type: 'value', value: answer });
        refused.push(op);
        const message = `${op} is answered by nothing here: give it an answer under "host"`;
        return Promise.resolve({ type: 'error', code: 'CapabilityDenied', message, retryable: false });
      },
      log: (level, text) => void log.push(`${level}: ${text}`),
      stdout: (text) => void log.push(text),
      stderr: (text) => void log.push(text),
    },
    signal,
  );
  return ok({ outcome, log, refused });
}

/** The cases of `test/*.json`, one after the other. */
export async function* runCases(
  deps: TryDeps,
  bundle: Bundle,
  dir: string,
  signal: AbortSignal,
): AsyncGenerator<CaseResult> {
  const files = (await readdir(join(dir, 'test')).catch(() => [])).filter((name) => name.endsWith('.json')).sort();
  for (const name of files) {
    const parsed = parseJson(await readFile(join(dir, 'test', name), 'utf8'));
    yield parsed.ok && isJsonObject(parsed.value)
      ? { name, ...(await runCase(deps, bundle, parsed.value, signal)) }
      : { name, ok: false, why: `it is no JSON object${parsed.ok ? '' : `: ${parsed.error}`}` };
  }
}

async function runCase(
  deps: TryDeps,
  bundle: Bundle,
  given: JsonObject,
  signal: AbortSignal,
): Promise<{ ok: boolean; why?: string }> {
  const { request = {}, answer, failure: fails, host } = given;
  if ((answer === undefined) === (fails === undefined))
    return { ok: false, why: 'it needs either "answer" or "failure"' };
  const wanted = { ...(isJsonObject(request) ? request : {}), ...(isJsonObject(host) ? { host } : {}) };
  const tried = await tryAgent(deps, bundle, wanted, signal);
  if (!tried.ok) return { ok: false, why: tried.error.message };
  const { outcome, refused } = tried.value;
  const more = refused.length === 0 ? '' : ` (refused: ${refused.join(', ')})`;
  if (outcome.type === 'succeeded') {
    const got = outcome.outputs as unknown as JsonValue;
    if (fails !== undefined) return { ok: false, why: `it answered ${JSON.stringify(got)} instead of failing` };
    return same(got, answer ?? null) ? { ok: true } : { ok: false, why: `it answered ${JSON.stringify(got)}${more}` };
  }
  const reason = 'reason' in outcome ? outcome.reason : outcome.type;
  if (fails === undefined) return { ok: false, why: `it failed: ${reason}${more}` };
  const part = typeof fails === 'string' ? fails : isJsonObject(fails) ? String(fails['reason'] ?? '') : '';
  return reason.includes(part) ? { ok: true } : { ok: false, why: `it failed otherwise: ${reason}${more}` };
}

function same(a: JsonValue, b: JsonValue): boolean {
  const [left, right] = [canonicalJson(a), canonicalJson(b)];
  return left.ok && right.ok && left.value === right.value;
}

/** The tests in `test/*.test.ts` by Node's own runner, in the author's name; nothing where there are none. */
export async function runTypeScriptTests(dir: string, sdkDir: string): Promise<Result<string | undefined, Failure>> {
  const names = (await readdir(join(dir, 'test')).catch(() => [])).filter((name) => name.endsWith('.test.ts'));
  if (names.length === 0) return ok(undefined);
  const built = join(sdkDir, 'dist', 'index.js');
  const sdk = pathToFileURL(existsSync(built) ? built : join(sdkDir, 'src', 'index.ts')).href;
  const hook = `import{registerHooks}from"node:module";registerHooks({resolve:(name,context,next)=>next(name==="@runloop/agent"?${JSON.stringify(sdk)}:name,context)});`;
  const args = [
    '--no-warnings',
    '--import',
    `data:text/javascript,${encodeURIComponent(hook)}`,
    '--test',
    '--test-reporter=spec',
  ];
  const child = spawn(process.execPath, [...args, ...names.map((name) => join('test', name))], { cwd: dir });
  let said = '';
  const keep = (chunk: Buffer): void => void (said = (said + chunk.toString()).slice(-64 * 1024));
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const code = await new Promise<number | null>((resolve) => {
    child.on('error', () => resolve(null));
    child.on('close', resolve);
  });
  return code === 0 ? ok(said) : err(failure('RunFailed', `tests in ${join(dir, 'test')} failed:\n${said.trim()}`));
}
