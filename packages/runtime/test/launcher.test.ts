/** Bundles of signers that are not trusted: in bubblewrap or not at all. */
import { existsSync } from 'node:fs';
import { readFile, readdir, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Bundle, type Cells, createCells } from '../src/index.ts';
import { type Bench, buildTestAgent, deps, run, tableHost, workbench } from './fixture.ts';

let bench: Bench;
let stranger: Bundle;
beforeAll(async () => {
  bench = await workbench(0);
  const bundle = await buildTestAgent(bench, 'stranger', {
    caps: '[limits]\ncpu_ms = 60000\n',
    body: `if (request.with.ask === 'loop') for (;;) {} return { out: [{ type: 'a.b.v1', value: host.kb.search({}) }] };`,
  });
  stranger = { ...bundle, trusted: false };
});
afterAll(() => bench[Symbol.asyncDispose]());

const pool = (bwrap?: string, allowWeak = false): Cells =>
  createCells(
    { ...deps, hostKey: bench.key },
    {
      cacheDir: join(bench.dir, 'cache'),
      spares: 2,
      allowWeak: () => allowWeak,
      ...(bwrap === undefined ? {} : { bwrap }),
    },
  );

async function descendants(pid: number | string): Promise<string[]> {
  const listed = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  const children = listed.split(' ').filter(Boolean);
  return [...children, ...(await Promise.all(children.map(descendants))).flat()];
}

/** The processes whose arguments hold the cell's program, the innermost last. */
async function cellProcesses(): Promise<string[]> {
  const found: string[] = [];
  for (const pid of await descendants(process.pid)) {
    const args = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (/cell-[0-9a-f]+\.cjs/.test(args)) found.push(pid);
  }
  return found;
}

const namespaces = ['user', 'mnt', 'pid', 'net', 'ipc', 'uts'] as const;

describe.skipIf(!existsSync('/usr/bin/bwrap'))('A7: a cell of a signer that is not trusted', () => {
  test('has namespaces of its own, no environment of ours, and a root with nothing but its files', async () => {
    await using cells = pool();
    let seen: { own: readonly string[]; environ: string; root: readonly string[] } | undefined;
    const host = tableHost({
      'kb.search': async () => {
        const pid = (await cellProcesses()).pop() ?? '';
        const own: string[] = [];
        for (const name of namespaces) {
          if ((await readlink(`/proc/${pid}/ns/${name}`)) !== (await readlink(`/proc/self/ns/${name}`))) own.push(name);
        }
        const environ = await readFile(`/proc/${pid}/environ`, 'utf8');
        seen = { own, environ, root: await readdir(`/proc/${pid}/root`) };
        return { type: 'value', value: 1 };
      },
    });
    expect(await run({ ...bench, cells }, stranger, { host })).toMatchObject({ type: 'succeeded' });
    // bubblewrap itself sets the one variable.
    expect(seen).toMatchObject({ own: namespaces, environ: 'PWD=/\0' });
    for (const name of ['proc', 'dev', 'etc', 'home', 'root', 'run', 'sys', 'var']) {
      if (!process.execPath.startsWith(`/${name}/`)) expect(seen?.root).not.toContain(name);
    }
  });
  test('its component is parsed in bubblewrap too, with one folder to write to', async () => {
    const log = join(bench.dir, 'bwrap.log');
    const script = join(bench.dir, 'bwrap.sh');
    await writeFile(script, `#!/bin/sh\nprintf '%s ' "$@" >> ${log}; echo >> ${log}\nexec /usr/bin/bwrap "$@"\n`, {
      mode: 0o755,
    });
    await using cells = createCells(
      { ...deps, hostKey: bench.key },
      { cacheDir: join(bench.dir, 'cache-of-strangers'), spares: 0, bwrap: script },
    );
    const host = tableHost({ 'kb.search': () => ({ type: 'value', value: 1 }) });
    expect(await run({ ...bench, cells }, stranger, { host })).toMatchObject({ type: 'succeeded' });
    const builders = (await readFile(log, 'utf8')).split('\n').filter((line) => line.includes('builder-main'));
    expect(builders).toHaveLength(1);
    expect(builders[0]).toMatch(/--unshare-all .*--ro-bind \S+\.wasm .*--bind (\S+prepared\/\.\w+) \1 .*--seccomp 4/);
    expect(builders[0]?.match(/ --bind /g)).toHaveLength(1);
  });
  test('serves one run, is not kept ready, and ends with its deadline', async () => {
    await using cells = pool();
    const host = tableHost({ 'kb.search': () => ({ type: 'value', value: 1 }) });
    expect(await cells.warm(stranger)).toMatchObject({ ok: true });
    for (let i = 1; i <= 2; i += 1) {
      expect(await run({ ...bench, cells }, stranger, { host })).toMatchObject({ type: 'succeeded' });
      expect(cells.stats()).toMatchObject({ started: i, spare: 0 });
    }
    const late = await run({ ...bench, cells }, stranger, { with: { ask: 'loop' }, deadlineMs: 500 });
    expect(late).toMatchObject({ type: 'failed', code: 'DeadlineExceeded' });
    await cells.close();
    await expect.poll(cellProcesses).toEqual([]);
  });
});

test('A10: a bubblewrap that hangs is given up', async () => {
  const path = join(bench.dir, 'hanging-bwrap');
  await writeFile(path, '#!/bin/sh\nexec sleep 60\n', { mode: 0o700 });
  await using cells = pool(path);
  expect(await run({ ...bench, cells }, stranger)).toMatchObject({
    code: 'InvalidBundle',
    reason: expect.stringMatching(/it did not end within 5000 ms/),
  });
});

test('A12: where there is no bubblewrap it is refused, with what to do', async () => {
  await using cells = pool('/nonexistent/bwrap');
  expect(await run({ ...bench, cells }, stranger)).toMatchObject({
    type: 'failed',
    code: 'InvalidBundle',
    reason: expect.stringMatching(/not trusted, and this host cannot confine it.*install bubblewrap/),
  });
  expect(cells.stats().started).toBe(0);
  expect(await cells.confinement()).toMatchObject({ code: 'InvalidBundle' });
  await using weak = pool('/nonexistent/bwrap', true);
  const host = tableHost({ 'kb.search': () => ({ type: 'value', value: 1 }) });
  expect(await run({ ...bench, cells: weak }, stranger, { host })).toMatchObject({ type: 'succeeded' });
  expect(await run({ ...bench, cells }, { ...stranger, trusted: true }, { host: tableHost() })).toMatchObject({
    code: 'AgentFailed',
  });
});
