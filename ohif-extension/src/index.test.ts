/** What the viewer loads is one small module. */

import { build } from 'esbuild';
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';

test('the module that the viewer loads weighs at most 150 kB on its way', async () => {
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: { build: string } };
  expect(scripts.build).toContain('src/index.ts --bundle --format=esm --minify');
  const { outputFiles } = await build({
    entryPoints: ['src/index.ts'],
    bundle: true,
    format: 'esm',
    minify: true,
    target: 'es2022',
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"production"' },
    write: false,
  });
  expect(gzipSync(outputFiles[0]!.contents).length).toBeLessThan(150_000);
});
