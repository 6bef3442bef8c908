/**
 * rlp: finds the command, loads it alone, runs it, and leaves with its exit code.
 *
 * Commands that a prompt waits for (`route`, `--version`) are answered before anything else is loaded.
 */
import { version } from './version.ts';

async function main(argv: readonly string[]): Promise<void> {
  const [first] = argv;
  if (first === '--version' || first === '-V') {
    process.stdout.write(`${version}\n`);
    return;
  }
  if (first === 'route') {
    const { route } = await import('./route.ts');
    process.exitCode = await route(argv.slice(1));
    return;
  }
  const { dispatch } = await import('./dispatch.ts');
  process.exitCode = await dispatch(argv);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  // A defect of rlp itself: expected failures are values and were shown before.
  const { stack = String(error) } = error instanceof Error ? error : {};
  process.stderr.write(`rlp: this is a defect of rlp, please report it:\n${stack}\n`);
  process.exitCode = 70;
}
