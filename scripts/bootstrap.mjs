/**
 * The set-up behind every npm script: installs and builds what is missing or stale, then does the task on the project's own Node.
 *
 * Runs on Node 20, for that is what a machine may have; everything after it runs on the Node that npm brought.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const bin = join(root, 'node_modules', '.bin');
const node = join(bin, 'node');
const stamp = join(root, 'node_modules', '.installed');

/** Runs a command; its failure is ours. */
function run(command, args, { env = {}, mayFail = false } = {}) {
  const done = spawnSync(command, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, PATH: `${bin}:${process.env.PATH ?? ''}`, ...env },
  });
  const code = done.status ?? 1;
  if (code !== 0 && !mayFail) process.exit(code);
  return code;
}

function install() {
  const wanted = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  const has = existsSync(stamp) ? readFileSync(stamp, 'utf8') : '';
  if (has === wanted && existsSync(node)) return;
  const [major = 0] = spawnSync('npm', ['--version'], { encoding: 'utf8' }).stdout.split('.').map(Number);
  if (major < 11) {
    process.stderr.write(`npm ${major} is too old: linked workspaces need npm 11 or newer (npm install -g npm@11)\n`);
    process.exit(1);
  }
  process.stdout.write('installing dependencies …\n');
  // Not `npm ci`: it refuses a lock file without the binaries of platforms that are not ours. The lock file still pins every version.
  run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error']);
  if (!existsSync(node)) {
    process.stderr.write(
      `there is no Node for ${process.platform}-${process.arch} among the dependencies; Linux on x64 or arm64 is needed\n`,
    );
    process.exit(1);
  }
  writeFileSync(stamp, wanted);
}

function build() {
  // An incremental build: what is up to date is not built again.
  run(node, [join(bin, 'tsc'), '-b']);
  // The router's fast path as one file: a prompt waits for it.
  run(node, ['packages/cli/bundle-route.mjs']);
}

/** Counts of vitest reports, as the plain last line; of a file that ran again, the later one counts. */
function closing(reports, failedBefore, code) {
  const files = new Map();
  let broken = 0;
  for (const report of reports) {
    const { testResults } = JSON.parse(readFileSync(report, 'utf8'));
    if (testResults === undefined) broken += 1;
    for (const file of testResults ?? []) files.set(file.name, file);
  }
  const count = { passed: 0, failed: 0, skipped: 0 };
  for (const { status, assertionResults } of files.values()) {
    const failed = assertionResults.filter((one) => one.status === 'failed').length;
    count.failed += failed === 0 && status === 'failed' ? 1 : failed;
    count.passed += assertionResults.filter((one) => one.status === 'passed').length;
    count.skipped += assertionResults.filter((one) => one.status !== 'passed' && one.status !== 'failed').length;
  }
  const counted = count.failed + broken + failedBefore;
  // An error outside of any test fails the run all the same.
  const failed = counted === 0 && code !== 0 ? 1 : counted;
  const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : '';
  process.stdout.write(`${count.passed} passed, ${failed} failed${skipped}\n`);
  return failed > 0 ? Math.max(1, code) : 0;
}

/** Runs vitest; answers its exit code, and the files whose process V8 ended by a trap. */
function vitest(report, files) {
  writeFileSync(report, '{}');
  const args = [
    join(bin, 'vitest'),
    'run',
    '--reporter=dot',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...files,
  ];
  const colour = process.stdout.isTTY ? { FORCE_COLOR: '1' } : {};
  const env = { ...colour, ...process.env, PATH: `${bin}:${process.env.PATH ?? ''}` };
  const child = spawn(node, args, { cwd: root, env, stdio: ['inherit', 'pipe', 'pipe'] });
  let said = '';
  for (const [from, to] of [
    [child.stdout, process.stdout],
    [child.stderr, process.stderr],
  ])
    from.on('data', (chunk) => {
      said = (said + chunk).slice(-1_000_000);
      to.write(chunk);
    });
  return new Promise((resolve) => {
    child.on('close', (code) => {
      // Of V8 in Node 24, where threads and WASM come and go: nodejs/node#64500.
      const trapped = said.matchAll(/signal SIGTRAP during [a-z]+ state while running test file (\S+\.test\.ts)/g);
      resolve({ code: code ?? 1, trapped: [...new Set([...trapped].map(([, file]) => file))] });
    });
  });
}

function lint() {
  const oxlint = run('oxlint', [], { mayFail: true });
  const prettier = run('prettier', ['--check', '--log-level=warn', '.'], { mayFail: true });
  return (oxlint === 0 ? 0 : 1) + (prettier === 0 ? 0 : 1);
}

const tasks = {
  build: () => 0,
  demo: () => run(node, ['scripts/demo.mjs'], { mayFail: true }),
  bench: () => run(node, ['--conditions=source', 'bench/run.ts', ...rest], { mayFail: true }),
  race: () => run(node, ['--conditions=source', 'bench/files-race.ts', ...rest], { mayFail: true }),
  lint,
  format: () => run('prettier', ['--write', '--log-level=warn', '.'], { mayFail: true }),
  test: async () => {
    const wrong = rest.length === 0 ? lint() : 0;
    mkdirSync(join(root, '.cache'), { recursive: true });
    const report = join(root, '.cache', 'vitest.json');
    const first = await vitest(report, rest);
    if (first.trapped.length === 0) return closing([report], wrong, first.code);
    process.stdout.write(`V8 ended ${first.trapped.length} files by a trap (nodejs/node#64500); they run again\n`);
    const again = join(root, '.cache', 'vitest-again.json');
    const second = await vitest(again, first.trapped);
    return closing([report, again], wrong, second.code);
  },
};

const [task = '', ...rest] = process.argv.slice(2);
if (!Object.hasOwn(tasks, task)) {
  process.stderr.write(`usage: node scripts/bootstrap.mjs ${Object.keys(tasks).join('|')}\n`);
  process.exit(2);
}
install();
build();
process.exitCode = await tasks[task]();
