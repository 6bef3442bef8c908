/**
 * The set-up behind every npm script: installs and builds what is missing or stale, then does the task on the project's own Node.
 *
 * Runs on Node 20, for that is what a machine may have; everything after it runs on the Node that npm brought.
 */
import { spawnSync } from 'node:child_process';
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

/** Counts of vitest's report, as the plain last line. */
function closing(report, failedBefore, code) {
  const { testResults } = JSON.parse(readFileSync(report, 'utf8'));
  const count = { passed: 0, failed: testResults === undefined ? 1 : 0, skipped: 0 };
  for (const { status, assertionResults } of testResults ?? []) {
    const failed = assertionResults.filter((one) => one.status === 'failed').length;
    count.failed += failed === 0 && status === 'failed' ? 1 : failed;
    count.passed += assertionResults.filter((one) => one.status === 'passed').length;
    count.skipped += assertionResults.filter((one) => one.status !== 'passed' && one.status !== 'failed').length;
  }
  const counted = count.failed + failedBefore;
  // An error outside of any test fails the run all the same.
  const failed = counted === 0 && code !== 0 ? 1 : counted;
  const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : '';
  process.stdout.write(`${count.passed} passed, ${failed} failed${skipped}\n`);
  return failed > 0 ? Math.max(1, code) : 0;
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
  test: () => {
    const wrong = rest.length === 0 ? lint() : 0;
    mkdirSync(join(root, '.cache'), { recursive: true });
    const report = join(root, '.cache', 'vitest.json');
    writeFileSync(report, '{}');
    const args = ['run', '--reporter=dot', '--reporter=json', `--outputFile.json=${report}`, ...rest];
    const code = run(node, [join(bin, 'vitest'), ...args], { mayFail: true });
    return closing(report, wrong, code);
  },
};

const [task = '', ...rest] = process.argv.slice(2);
if (!Object.hasOwn(tasks, task)) {
  process.stderr.write(`usage: node scripts/bootstrap.mjs ${Object.keys(tasks).join('|')}\n`);
  process.exit(2);
}
install();
build();
process.exitCode = tasks[task]();
