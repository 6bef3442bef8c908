/**
 * After `tsc -b`: replaces dist/route.js by one file with all that `rlp route` needs, since each file opened costs a start.
 *
 * What is slow (the configuration) stays outside and are loaded only when they are needed.
 */
import { join } from 'node:path';
import { rolldown } from 'rolldown';

const dist = join(import.meta.dirname, 'dist');
const build = await rolldown({
  input: join(dist, 'route-main.js'),
  platform: 'node',
  external: [/environment\.js$/, /^node:/],
});
await build.write({ file: join(dist, 'route.js'), format: 'esm', minify: true });
await build.close();
