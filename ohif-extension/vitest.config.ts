/** How the unit tests run: beside their source. A file that needs a document says `@vitest-environment jsdom` in its first lines. */

import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { include: ['src/**/*.test.{ts,tsx}'], restoreMocks: true, unstubGlobals: true, maxWorkers: 2, testTimeout: 60_000 },
});
