/** Programs of kind `command`: compiled by this host's compilers, run in real cells. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, type TestContext } from 'vitest';
import { unwrap } from '@runloop/core';
import { ProgramOutput } from '../src/cell/program-output.ts';
import { missingTools, type SourceLanguage } from '../src/compile.ts';
import { type AttemptOutcome, type Bundle, buildAgent } from '../src/index.ts';
import { type Bench, deps, run, tableHost, workbench } from './fixture.ts';

let bench: Bench;
const data = realpathSync(mkdtempSync(join(tmpdir(), 'rl-command-')));
beforeAll(async () => {
  bench = await workbench();
});
afterAll(async () => {
  await bench[Symbol.asyncDispose]();
  rmSync(data, { recursive: true, force: true });
});

function needs(language: SourceLanguage, context: TestContext): void {
  const missing = missingTools(language);
  if (missing.length > 0) context.skip(`no compiler here; it is in Debian's ${missing.join(', ')}`);
}

function write(name: string, files: { readonly [path: string]: string }, kind = 'command'): string {
  const dir = join(bench.dir, 'agents', name);
  const manifest = `[agent]\nname = "${name}"\nversion = "0.1.0"\nkind = "${kind}"\n[ports]\nout = { out = ["*"] }\n`;
  for (const [path, text] of Object.entries({ 'manifest.toml': manifest, 'policy.caps': '', ...files })) {
    mkdirSync(join(dir, path, '..'), { recursive: true });
    writeFileSync(join(dir, path), text);
  }
  return dir;
}

async function build(name: string, files: { readonly [path: string]: string }): Promise<Bundle> {
  return unwrap(await buildAgent(deps, write(name, files), { signWith: bench.key }), `${name} builds`);
}

function told(outcome: AttemptOutcome): unknown {
  if (outcome.type === 'succeeded') return outcome.outputs['out']?.map(({ value }) => value);
  return outcome.type === 'failed' ? `${outcome.code}: ${outcome.reason}` : outcome.type;
}

const answer = '{\\"out\\":[{\\"type\\":\\"x\\",\\"value\\":1}]}';
/** The inside of main, after the request was read into `request`. */
const main = (body: string): string => `
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
static char request[65536];
static int deep(int n) { volatile char room[4096]; room[0] = (char)n; return n == 0 ? 0 : deep(n - 1) + room[0]; }
int main(int argc, char **argv) {
  request[fread(request, 1, sizeof request - 1, stdin)] = 0;
  (void)deep;
  ${body}
}`;

const programs: readonly (readonly [name: string, body: string, expected: unknown, lines: readonly string[]])[] = [
  ['answers', `puts("hello"); puts("${answer}"); return 0;`, [1], ['stdout: hello']],
  [
    'exits',
    `fputs("one", stderr); fputs(" line\\n", stderr); printf("${answer}"); exit(0);`,
    [1],
    ['stderr: one line'],
  ],
  [
    'last',
    `puts("${answer}"); puts("{\\"out\\":[]}"); puts("bye"); return 0;`,
    [],
    ['stdout: {"out":[{"type":"x","value":1}]}', 'stdout: bye'],
  ],
  [
    'fails',
    `puts("${answer}"); fputs("why\\nbecause\\n\\n", stderr); return 3;`,
    'AgentFailed: because',
    ['stderr: why', 'stderr: because', 'stderr: '],
  ],
  ['fails_mute', 'return 3;', 'AgentFailed: it ended with an exit code other than 0', []],
  ['says_nothing', 'return 0;', 'AgentFailed: it printed no JSON object on standard output', []],
  [
    'traps',
    'fputs("here\\n", stderr); __builtin_trap();',
    'AgentTrapped: the agent trapped: wasm trap: wasm `unreachable` instruction executed; it said: here',
    ['stderr: here'],
  ],
  ['loops', 'for (volatile int i = 0;; i++) {}', 'OutOfFuel: the agent used up its CPU allowance', []],
  [
    'sees_nothing',
    `extern char **environ; printf("{\\"out\\":[{\\"type\\":\\"x\\",\\"value\\":[%d,%d,%d]}]}", argc, environ != NULL && *environ != NULL, opendir("/") != NULL); return 0;`,
    [[0, 0, 0]],
    [],
  ],
  [
    'has_the_run_s_clock',
    `printf("{\\"out\\":[{\\"type\\":\\"x\\",\\"value\\":%lld}]}", (long long)time(NULL)); return 0;`,
    [1_700_000_000],
    [],
  ],
];

describe('C', () => {
  test.each(programs)('%s', async (name, body, expected, lines) => {
    const missing = missingTools('c');
    if (missing.length > 0) return console.warn(`skipped: ${missing.join(', ')}`);
    const policy = '[limits]\ncpu_ms = 300\n';
    const bundle = await build(`c_${name}`, { 'src/main.c': main(body), 'policy.caps': policy });
    const host = tableHost();
    expect(told(await run(bench, bundle, { host }))).toEqual(expected);
    expect(host.lines).toEqual(lines);
  });

  test('its request is on its standard input; in a shared cell too, many at once', async (context) => {
    needs('c', context);
    const body =
      'char *at = strstr(request, "\\"n\\":"); printf("{\\"out\\":[{\\"type\\":\\"x\\",\\"value\\":%d}]}", atoi(at + 4)); return 0;';
    const bundle = await build('c_echo', { 'src/main.c': main(body) });
    const numbers = [1, 2, 3, 4, 5];
    for (const share of [{}, { share: 'all' }]) {
      const outcomes = await Promise.all(numbers.map((n) => run(bench, bundle, { with: { n }, ...share })));
      expect(outcomes.map(told)).toEqual(numbers.map((n) => [n]));
    }
  });

  test('its files are host calls below its grants', async (context) => {
    needs('c', context);
    const body = `FILE *file = fopen("${data}/book", "r"); char line[64]; if (file == NULL || fgets(line, 64, file) == NULL) { perror("book"); return 1; }
      printf("{\\"out\\":[{\\"type\\":\\"x\\",\\"value\\":\\"%s\\"}]}", line); return 0;`;
    const files = { 'src/main.c': main(body), 'policy.caps': `fs = ["${data}"]\n` };
    const bundle = await build('c_reader', files);
    const host = tableHost({
      'fs.stat': () => ({ type: 'value', value: { type: 'file', bytes: 7, mtime_ms: 0 } }),
      'fs.read': ({ offset = 0 }: { offset?: number }) => {
        const rest = Buffer.from('read me').subarray(offset);
        return { type: 'value', value: { data: rest.toString('base64'), bytes: rest.length, size: 7, end: true } };
      },
    });
    const outcome = await bench.cells.run(
      {
        bundle,
        run: {
          trace_id: 'ab'.repeat(16),
          run_id: 'run_test',
          node: 'node',
          attempt: 1,
          seed: '00'.repeat(32),
          accepted_ms: 0,
          deadline_ms: 20_000,
          fs: bundle.caps.fs,
          time: false,
        },
        request: { with: {}, inputs: {} },
      },
      host,
      new AbortController().signal,
    );
    expect(told(outcome)).toEqual(['read me']);
    expect(host.calls.map(({ op }) => op)).toContain('fs.read');
  });

  test('what does not compile is said with its place', async (context) => {
    needs('c', context);
    const built = await buildAgent(deps, write('c_wrong', { 'src/main.c': 'int main() { return }' }), {
      signWith: bench.key,
    });
    expect(built).toMatchObject({ ok: false, error: { code: 'BuildFailed' } });
    expect(built.ok ? '' : built.error.message).toMatch(/^src\/main\.c:1:\d+: error: /);
  });

  test('a compiler reads nothing but its agent, and has no network', async (context) => {
    needs('c', context);
    writeFileSync(join(data, 'secret.h'), '#define SECRET 1\n');
    const source = `#include "${data}/secret.h"\nint main(void) { return SECRET; }`;
    const built = await buildAgent(deps, write('c_nosy', { 'src/main.c': source }), { signWith: bench.key });
    expect(built.ok ? '' : built.error.message).toContain('file not found');
  });
});

test('Rust', async (context) => {
  needs('rust', context);
  const source = `use std::io::Read;
    fn main() {
      let mut text = String::new();
      std::io::stdin().read_to_string(&mut text).unwrap();
      if text.contains("panic") { panic!("as asked"); }
      println!(r#"{{"out":[{{"type":"x","value":{}}}]}}"#, text.len());
    }`;
  const bundle = await build('rusty', { 'src/main.rs': source });
  expect(told(await run(bench, bundle))).toEqual(['{"with":{},"inputs":{}}'.length]);
  expect(told(await run(bench, bundle, { with: { panic: true } }))).toMatch(/^AgentTrapped: .*it said: .*/);
});

test('a program that was compiled elsewhere is adapted where it lies, once', async (context) => {
  needs('c', context);
  const made = await build('c_first', { 'src/main.c': main(`puts("${answer}"); return 0;`) });
  const dir = write('prebuilt', {});
  mkdirSync(join(dir, 'bin'));
  const { readFileSync } = await import('node:fs');
  writeFileSync(join(dir, 'bin/prebuilt.wasm'), readFileSync(made.component.path));
  const first = unwrap(await buildAgent(deps, dir, { signWith: bench.key }), 'prebuilt');
  expect(told(await run(bench, first))).toEqual([1]);
  const second = unwrap(await buildAgent(deps, dir, { signWith: bench.key }), 'prebuilt again');
  expect(second.component.digest).toBe(first.component.digest);
  writeFileSync(join(dir, 'bin/prebuilt.wasm'), 'text');
  expect(await buildAgent(deps, dir, { signWith: bench.key })).toMatchObject({
    ok: false,
    error: { message: 'the program is no WebAssembly' },
  });
});

const refused: readonly (readonly [kind: string, files: { readonly [path: string]: string }, message: RegExp])[] = [
  ['component', { 'src/main.c': '' }, /write kind = "command"/],
  ['command', { 'src/agent.ts': '' }, /kind = "component"/],
  ['command', {}, /there is no src\/agent\.ts, src\/main\.c, src\/main\.rs, and no bin\//],
  ['program', {}, /neither "component" nor "command"/],
];
test.each(refused)('kind %s is refused: %#', async (kind, files, message) => {
  const built = await buildAgent(deps, write(`refused_${kind}_${Object.keys(files).length}`, files, kind), {
    signWith: bench.key,
  });
  expect(built.ok ? '' : built.error.message).toMatch(message);
});

type Printed = readonly [what: string, chunks: readonly string[], answer: string | undefined, log: readonly string[]];
const printed: readonly Printed[] = [
  ['one line', ['{"a":1}\n'], '{"a":1}', []],
  ['no line end', ['{"a":1}'], '{"a":1}', []],
  ['in pieces', ['{"', 'a"', ':1', '}\nx'], '{"a":1}', ['x']],
  [
    'over lines',
    ['log\n{\n  "a": [\n    {"b": 1}\n  ]\n}\ndone\n'],
    '{\n  "a": [\n    {"b": 1}\n  ]\n}',
    ['log', 'done'],
  ],
  ['the last of two', ['{"a":1}\n{"a":2}\n'], '{"a":2}', ['{"a":1}']],
  ['braces that are no JSON', ['{a}\n{\nfoo\n}\n{"a":1}\n'], '{"a":1}', ['{a}', '{', 'foo', '}']],
  ['an object that never ends', ['{"a":1}\n{\n"b":\n'], '{"a":1}', ['{', '"b":']],
  ['indented is no beginning', [' {"a":1}\n'], undefined, [' {"a":1}']],
  ['a list', ['[1]\n'], undefined, ['[1]']],
  ['too long', [`{"a":"${'x'.repeat(100)}"}\nmore\n`], undefined, [`{"a":"${'x'.repeat(34)}`, 'more']],
];
test.each(printed)('standard output: %s', (_what, chunks, expected, log) => {
  const lines: string[] = [];
  const output = new ProgramOutput((_stream, line) => void lines.push(line), 40);
  for (const chunk of chunks) output.write('stdout', new TextEncoder().encode(chunk));
  expect(output.end()).toBe(expected);
  expect(lines.map((line) => line.slice(0, 41))).toEqual(log);
  expect(output.tooLarge).toBe(_what === 'too long');
});
