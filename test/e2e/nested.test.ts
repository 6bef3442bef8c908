/** Nested openings and both forms of the language through rlp itself: new, fmt, plan, graph, run, replay. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Home } from './home.ts';

test('a file nests one beside it and one by name; both forms run; the tape replays equal', async () => {
  await using home = new Home();
  const folder = join(home.path, 'work');
  mkdirSync(folder);
  mkdirSync(join(home.path, 'openings'), { recursive: true });
  const rlp = (...args: string[]): ReturnType<Home['rlp']> => home.rlpWith({ cwd: folder }, ...args);
  expect(await rlp('opening', 'new', 'inner', '--brace')).toMatchObject({ code: 0 });
  expect(await rlp('opening', 'new', 'inner', '--brace')).toMatchObject({ code: 65 });
  const named = 'version: 0\nname: named\nnodes: [{ id: read, use: agent:log_reader, with: { lines: [a] } }]\n';
  writeFileSync(join(home.path, 'openings', 'named.yaml'), named);
  const outer = `opening outer {
  params: { who: ann }
  node a { use: opening:inner, with: { name: "{{params.who}}" }, timeout_ms: 50000 }
  node b { use: opening:named }
  node end { use: agent:redactor }
  edge a.out -> end.in
  edge b.out -> end.in
}
`;
  writeFileSync(join(folder, 'outer.opening'), outer);
  expect(await rlp('lint', 'outer.opening', 'inner.opening')).toMatchObject({ code: 0 });
  const plan = await rlp('plan', 'outer.opening');
  expect(plan.out).toContain('a/… is opening inner: 2 nodes, at most 50.0 s, 2000 tokens, its success must hold too');
  expect((await rlp('graph', 'outer.opening', '--format', 'mermaid')).out).toContain('subgraph');
  expect(await rlp('opening', 'fmt', 'outer.opening', '--to', 'yaml', '--write')).toMatchObject({ code: 0 });
  expect(await rlp('opening', 'fmt', 'outer.yaml', '--check')).toMatchObject({ code: 0 });
  expect(await rlp('opening', 'fmt', 'outer.opening', '--to', 'yaml', '--write')).toMatchObject({ code: 65 });
  expect(await rlp('opening', 'graph', 'outer.yaml', '-o', 'outer.svg')).toMatchObject({ code: 0 });
  expect(readFileSync(join(folder, 'outer.svg'), 'utf8')).toContain('a/greet');
  for (const file of ['outer.yaml', 'outer.opening']) {
    const { events, code } = await home.run([join(folder, file)]);
    expect([code, events.at(-1)?.kind]).toEqual([0, 'run.finished']);
    expect(events.filter(({ kind }) => kind === 'node.started').map(({ meta }) => meta['node'])).toEqual(
      expect.arrayContaining(['a/greet', 'a/hide', 'b/read', 'end']),
    );
    expect(await home.json<{ equal: boolean }>('replay', events[0]?.trace_id ?? '')).toMatchObject({ equal: true });
  }
  const listed = await home.json<{ openings: { name: string; valid: boolean }[] }>('opening', 'list');
  expect(listed.openings).toContainEqual(expect.objectContaining({ name: 'named', valid: true }));
});

test('one beside it may be called as what every object has', async () => {
  await using home = new Home();
  const nodes = (use: string): string => `nodes: [{ id: n, use: ${use}, with: { lines: [a] } }]\n`;
  writeFileSync(join(home.path, 'constructor.yaml'), `version: 0\nname: constructor\n${nodes('agent:log_reader')}`);
  const outer = 'version: 0\nname: outer\nnodes: [{ id: a, use: opening:constructor }]\n';
  writeFileSync(join(home.path, 'outer.yaml'), outer);
  const { events, code } = await home.run([join(home.path, 'outer.yaml')]);
  expect([code, events.at(-1)?.kind]).toEqual([0, 'run.finished']);
});
