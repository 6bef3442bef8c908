/**
 * rlp agent test and dev: an author's loop, without a daemon, in a real cell.
 */
import { existsSync, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import {
  err,
  type Failure,
  failure,
  isJsonObject,
  type JsonObject,
  ok,
  parseJson,
  type Result,
  showLine,
  showText,
  systemClock,
} from '@runloop/core';
import { type Arguments, type Command, text, type Tools } from '../command.ts';
import { duration } from '../screen.ts';
import type { TryRequest } from '@runloop/daemon';

const settleMs = 150;

export const commands: readonly Command[] = [
  {
    usage: 'agent test [dir]',
    about: "build an agent and run its tests: test/*.json in a cell, test/*.test.ts by Node's runner",
    examples: [
      ['rlp agent test note_taker', ''],
      ['rlp agent test', 'the agent in this folder'],
    ],
    run: test,
  },
  {
    usage: 'agent dev <dir>',
    about: 'build an agent and run it once, and again whenever its source is saved',
    options: {
      with: { type: 'string', about: 'its parameters as JSON, or @file' },
      inputs: { type: 'string', about: 'values by port as JSON ({"in": [1]}), or @file' },
      once: { type: 'boolean', about: 'do not wait for changes' },
    },
    examples: [[`rlp agent dev note_taker --with '{"text": "as I type"}'`, 'Ctrl-C ends it']],
    run: dev,
  },
];

async function build(dir: string, tools: Tools): ReturnType<typeof buildOne> {
  if (!existsSync(join(dir, 'manifest.toml')))
    return err(
      failure('NotFound', `there is no manifest.toml in ${dir}`, { hint: 'make an agent: rlp agent scaffold <name>' }),
    );
  return buildOne(dir, tools);
}

async function buildOne(dir: string, { environment }: Tools) {
  const { buildAgents, checkoutRoot } = await import('@runloop/daemon');
  const checkout = checkoutRoot(import.meta.dirname);
  const request = { root: environment.root, checkout, places: [{ dir }], all: false, clock: systemClock };
  for await (const { result } of buildAgents(request)) return result;
  return err(failure('BuildFailed', `nothing was built in ${dir}`));
}

async function test(args: Arguments, tools: Tools): Promise<number> {
  const dir = resolve(tools.environment.cwd, text(args, 'dir') ?? '.');
  const bundle = await build(dir, tools);
  if (!bundle.ok) return tools.fail(bundle.error);
  const { checkoutRoot, runCases, runTypeScriptTests } = await import('@runloop/daemon');
  const { screen, environment } = tools;
  const cases = [];
  for await (const done of runCases(
    { root: environment.root, clock: systemClock },
    bundle.value,
    dir,
    environment.interrupted,
  )) {
    cases.push(done);
    if (!tools.json)
      screen.line(
        `${done.ok ? '✓' : '✗'} ${showLine(done.name)}${done.why === undefined ? '' : `: ${showLine(done.why)}`}`,
      );
  }
  const sdk = join(
    checkoutRoot(import.meta.dirname) ?? join(dir, 'node_modules', '@runloop', 'agent'),
    'packages',
    'agent-sdk',
  );
  const own = await runTypeScriptTests(dir, sdk);
  if (!tools.json && own.ok && own.value !== undefined) screen.line(showText(own.value.trim()));
  const failed = cases.filter((one) => !one.ok).length + (own.ok ? 0 : 1);
  if (tools.json) screen.json({ cases, tests: own.ok ? (own.value ?? null) : { error: own.error } });
  else if (cases.length === 0 && own.ok && own.value === undefined)
    screen.note(
      `no tests: write ${join(dir, 'test', 'first.json')}, such as {"request": {"with": {}}, "answer": {"out": []}}`,
    );
  if (!own.ok && !tools.json) return tools.fail(own.error);
  return failed === 0 ? 0 : 1;
}

async function objectOf(args: Arguments, name: string, tools: Tools): Promise<Result<JsonObject, Failure>> {
  const given = text(args, name);
  if (given === undefined) return ok({});
  const path = given.startsWith('@') ? resolve(tools.environment.cwd, given.slice(1)) : undefined;
  const source = path === undefined ? given : await readFile(path, 'utf8').catch(() => undefined);
  if (source === undefined) return err(failure('NotFound', `there is no file ${path ?? ''}`));
  const parsed = parseJson(source);
  if (parsed.ok && isJsonObject(parsed.value)) return ok(parsed.value);
  return err(failure('Usage', `--${name} must be a JSON object${parsed.ok ? '' : `: ${parsed.error}`}`));
}

async function dev(args: Arguments, tools: Tools): Promise<number> {
  const dir = resolve(tools.environment.cwd, text(args, 'dir') ?? '.');
  const given = await objectOf(args, 'with', tools);
  if (!given.ok) return tools.fail(given.error);
  const inputs = await objectOf(args, 'inputs', tools);
  if (!inputs.ok) return tools.fail(inputs.error);
  const request = { with: given.value, inputs: inputs.value as { [port: string]: JsonObject[] } };
  const first = await turn(dir, request, tools);
  if (args['once'] === true) return first;
  const { interrupted } = tools.environment;
  while (!interrupted.aborted) {
    tools.screen.note(`waiting for a change in ${dir}; Ctrl-C ends`);
    await changed(dir, interrupted);
    if (!interrupted.aborted) await turn(dir, request, tools);
  }
  return 0;
}

async function turn(dir: string, request: TryRequest, tools: Tools): Promise<number> {
  const began = systemClock.monotonicMs();
  const bundle = await build(dir, tools);
  if (!bundle.ok) return tools.fail(bundle.error);
  const { tryAgent } = await import('@runloop/daemon');
  const { environment, screen } = tools;
  const tried = await tryAgent(
    { root: environment.root, clock: systemClock },
    bundle.value,
    request,
    environment.interrupted,
  );
  if (!tried.ok) return tools.fail(tried.error);
  const { outcome, log, refused } = tried.value;
  for (const line of log) screen.note(`  ${showLine(line)}`);
  for (const op of refused) screen.note(`  refused: ${showLine(op)}, for nothing answers it here`);
  if (outcome.type === 'succeeded') screen.line(JSON.stringify(outcome.outputs, undefined, 2));
  else screen.note(`✗ ${showLine('reason' in outcome ? outcome.reason : outcome.type)}`);
  screen.note(`${duration(systemClock.monotonicMs() - began)}, built and run`);
  return outcome.type === 'succeeded' ? 0 : 1;
}

/** Resolves when something of the source was saved, and an editor had time for its several steps, or at Ctrl-C. */
async function changed(dir: string, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const done = Promise.withResolvers<void>();
  // It keeps the process alive, also while nothing but a timer is waited for.
  const watcher = watch(dir, { recursive: true }, (_, path) => {
    if (path !== null && !/^(?:node_modules|bin|SIGNATURES|SBOM)(?:\/|$)|\.new$|~$|^\./.test(path))
      systemClock.after(settleMs, done.resolve);
  });
  watcher.on('error', () => done.resolve());
  signal.addEventListener('abort', () => done.resolve(), { once: true });
  await done.promise;
  watcher.close();
}
