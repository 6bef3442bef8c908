/** Tests run on the source, not on dist: the condition `source` picks it in each package's exports. */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source'] } },
  test: {
    include: ['packages/*/test/**/*.test.ts', 'agents/*/test/**/*.test.ts', 'test/**/*.test.ts'],
    globalSetup: process.argv.some((arg) => /packages|agents\/|tidy/.test(arg)) ? [] : ['test/e2e/setup.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
