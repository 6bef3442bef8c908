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
    const code = await route(argv.slice(1));
    if (code !== undefined) {
      process.exitCode = code;
      return;
    }
  }
  if (!standsSomewhere()) {
    process.stderr.write('rlp: the folder in which you stand is gone\n     go to another one: cd ~\n');
    process.exitCode = 66;
    return;
  }
  const { dispatch } = await import('./dispatch.ts');
  process.exitCode = await dispatch(argv);
}

/** Everything else reads the working directory, and would call this a defect. */
function standsSomewhere(): boolean {
  try {
    process.cwd();
    return true;
  } catch {
    return false;
  }
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  // A defect of rlp itself: expected failures are values and were shown before.
  const { stack = String(error) } = error instanceof Error ? error : {};
  process.stderr.write(`rlp: this is a defect of rlp, please report it:\n${stack}\n`);
  process.exitCode = 70;
}
