/**
 * How the tests run. `unit` shares one module graph per worker (so module-level state would show). `e2e` isolates each file,
 * and runs two at a time: they wait for their processes more than they compute. Both take the packages from source: no
 * build before a test.
 */
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { TestOrder } from './scripts/test-order.ts';

const SOURCE = '@porthole/source';
const root = fileURLToPath(new URL('.', import.meta.url));

const fromSource = {
  root,
  resolve: { conditions: [SOURCE] },
  ssr: { resolve: { conditions: [SOURCE, 'node', 'default'], externalConditions: [SOURCE] } },
};

export default defineConfig({
  root,
  test: {
    sequence: { sequencer: TestOrder },
    reporters: ['default', fileURLToPath(new URL('scripts/test-summary.ts', import.meta.url))],
    projects: [
      {
        ...fromSource,
        test: {
          name: 'unit',
          include: [
            'packages/*/src/**/*.test.ts',
            'test/contracts/**/*.test.ts',
            'test/http1/**/*.test.ts',
            'test/protocol/**/*.test.ts',
            'test/harness/**/*.test.ts',
          ],
          isolate: false,
          maxWorkers: '100%',
          execArgv: [`--conditions=${SOURCE}`],
          testTimeout: 20_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        ...fromSource,
        test: {
          name: 'e2e',
          include: ['test/{e2e,interop,package}/**/*.test.ts'],
          globalSetup: 'test/package/run-folder.ts',
          maxWorkers: 2,
          execArgv: [`--conditions=${SOURCE}`],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
