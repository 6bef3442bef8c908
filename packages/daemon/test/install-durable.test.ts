/** What an install has put on the disk before each rename, by Node's own trace of its file calls. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { expect, test } from 'vitest';
import { makeBundle, makeRoot, placeAt } from './install-fixture.ts';

type TraceEvent = { readonly ph: string; readonly name: string; readonly args: { readonly [key: string]: string } };

/** `sync <path>` and `<new path>` of each rename, in their order, relative to the agents' folder. */
function calls(root: string, source: string): readonly string[] {
  const log = join(root, 'trace.json');
  const main = join(import.meta.dirname, 'install-main.ts');
  const traced = ['--trace-event-categories=node.fs.async', `--trace-event-file-pattern=${log}`];
  const ran = spawnSync(process.execPath, [...traced, '--conditions=source', '--no-warnings', main, root, source], {
    encoding: 'utf8',
  });
  expect(ran.stdout).toContain('"ok":true');
  const { traceEvents } = JSON.parse(readFileSync(log, 'utf8')) as { readonly traceEvents: readonly TraceEvent[] };
  const agents = join(root, 'agents');
  const found: string[] = [];
  let opened = '';
  for (const { ph, name, args } of traceEvents) {
    if (ph !== 'b') continue;
    if (name === 'open') opened = args['path'] ?? '';
    else if (name === 'fsync') found.push(`sync ${relative(agents, opened)}`);
    else if (name === 'rename') found.push(relative(agents, args['new_path'] ?? ''));
  }
  return found;
}

test('A6: what a rename makes visible is on the disk before it, and its folder before the next', async () => {
  using home = makeRoot();
  const place = await placeAt(home.root);
  for (const version of ['1.0.0', '2.0.0']) {
    const source = await makeBundle(join(home.root, version), place.host, version);
    const all = calls(home.root, source);
    const renames = all.flatMap((call, at) => (call.startsWith('sync ') ? [] : [at]));
    const [whole = 0, record = 0, link = 0, raised = 0] = renames;
    const between = (from: number, to?: number): readonly string[] =>
      all.slice(from + 1, to).map((call) => call.slice(5));
    expect(renames.map((at) => basename(all[at] ?? '').replace(/-[0-9a-f]{12}$/, ''))).toEqual([
      version,
      'record.json',
      'small',
      'record.json',
    ]);
    expect(
      between(-1, whole)
        .map((path) => path.replace(/^\.incoming\/[0-9a-f]{16}\/?/, ''))
        .sort(),
    ).toEqual([
      '',
      'SIGNATURES',
      'SIGNATURES/manifest.sig',
      'bin',
      'bin/manifest.json',
      'bin/small.wasm',
      'manifest.toml',
      'policy.caps',
      'schemas',
      'schemas/with.json',
    ]);
    expect(between(whole, record)).toEqual([
      '.versions/small',
      '.versions',
      '',
      expect.stringMatching(/^\.versions\/small\/record\.json\./),
    ]);
    expect(between(record, link)).toEqual(['.versions/small']);
    expect(between(link, raised)).toEqual(['', expect.stringMatching(/^\.versions\/small\/record\.json\./)]);
    expect(between(raised)).toEqual(['.versions/small']);
  }
});
