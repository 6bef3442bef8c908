/** Provisional. */
export async function route(_argv: readonly string[]): Promise<number> {
  return 2;
}
