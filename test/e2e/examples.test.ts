/** The example agents, built and tested as their authors would. C and Rust where Debian's toolchains for WASI are. */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Home } from './home.ts';
import { root } from './place.ts';

const examples = join(root, 'examples', 'agents');
const sandbox = spawnSync('/usr/bin/bwrap', ['--unshare-all', '--ro-bind', '/', '/', 'true']).status === 0;
const tools: { readonly [language: string]: boolean } = {
  c: sandbox && existsSync('/usr/bin/clang') && existsSync('/usr/lib/wasm32-wasi'),
  rust:
    sandbox &&
    existsSync('/usr/bin/rustc') &&
    spawnSync('/usr/bin/rustc', ['--print', 'target-libdir', '--target', 'wasm32-wasi']).status === 0,
  ts: true,
};

for (const name of readdirSync(examples)) {
  const has = tools[name.split('_').at(-1) ?? ''] === true;
  if (!has) process.stderr.write(`skipped: ${name}, its compiler or bubblewrap is not here\n`);
  test.skipIf(!has)(`${name}: every case holds`, async () => {
    await using home = new Home({ bare: true });
    const dir = join(home.path, 'work', name);
    cpSync(join(examples, name), dir, { recursive: true });
    const done = await home.rlpWith({ cwd: home.path }, 'agent', 'test', dir);
    expect(`${done.code} ${done.err}`).toMatch(/^0 /);
    expect(done.out).toMatch(/^✓ /m);
  });
}
