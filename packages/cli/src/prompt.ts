/** Provisional. */
import type { Environment } from './environment.ts';
import type { Screen } from './screen.ts';
export async function prompt(_line: string, _environment: Environment, _screen: Screen): Promise<number> {
  return 2;
}
