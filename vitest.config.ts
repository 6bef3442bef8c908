/** Tests run on the source, not on dist: the condition `source` picks it in each package's exports. */
import { defineConfig } from 'vitest/config';

/** What was asked for by name; the end-to-end tests' state directory is made only where they may run. */
const filters = process.argv.slice(3).filter((arg) => !arg.startsWith('-'));

export default defineConfig({
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source'] } },
  test: {
    include: ['packages/*/test/**/*.test.ts', 'agents/*/test/**/*.test.ts', 'test/**/*.test.ts'],
    globalSetup:
      filters.length > 0 && !filters.some((filter) => /e2e|hostile/.test(filter)) ? [] : ['test/e2e/setup.ts'],
    // The machine of CI may be shared: what needs real processes may be tried once more there, and is reported if it was.
    retry: process.env['CI'] === 'true' ? 1 : 0,
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
