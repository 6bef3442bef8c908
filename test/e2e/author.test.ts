/**
 * From an empty folder to a finished run, as an author does it: nothing but what the project ships, and no network.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Home } from './home.ts';

test('scaffold, build, run', async () => {
  await using home = new Home({ bare: true });
  const cwd = join(home.path, 'work');
  mkdirSync(cwd);
  const rlp = async (...args: string[]): Promise<string> => {
    const { code, out, err } = await home.rlpWith({ cwd }, ...args);
    expect(`${args.join(' ')}: ${code} ${err}`).toMatch(/: 0 /);
    return out;
  };
  await rlp('agent', 'scaffold', 'note_taker', '--opening', '--non-interactive');
  await rlp('agent', 'build', 'note_taker');
  const events = await rlp('run', 'note_taker/note_taker.yaml', '--ndjson');
  expect(events.trim().split('\n').pop()).toContain('"state":"succeeded"');
  expect(await rlp('caps', 'lint', 'note_taker')).toContain('nothing to complain about');
  expect(await rlp('caps', 'show', 'note_taker')).toContain('it can only compute');

  // Built again it replaces itself, and what it asks for now is said.
  writeFileSync(join(cwd, 'note_taker/policy.caps'), 'net = ["api.example.com"]\n');
  const again = await home.rlpWith({ cwd }, 'agent', 'build', 'note_taker');
  expect(`${again.code} ${again.err}`).toBe('0   now it asks for net: ["api.example.com"] (was [])\n');
  expect(await rlp('agent', 'show', 'note_taker')).toContain('net: api.example.com');
}, 120_000);

test('agent test and dev: the cases that a scaffold brings, one that fails, one that asks its host', async () => {
  await using home = new Home({ bare: true });
  const cwd = join(home.path, 'work');
  mkdirSync(cwd);
  const rlp = (...args: string[]): ReturnType<Home['rlp']> => home.rlpWith({ cwd }, ...args);
  await rlp('agent', 'scaffold', 'noter', '--non-interactive');
  expect(await rlp('agent', 'test', 'noter')).toMatchObject({
    code: 0,
    out: expect.stringMatching(/✓ two_words.json.*pass 2/s),
  });
  const write = (name: string, value: object): void =>
    writeFileSync(join(cwd, 'noter/test', name), JSON.stringify(value));
  write('wrong.json', { request: { with: { text: 'a b c' } }, answer: { out: [] } });
  write('fails.json', { request: { with: {} }, failure: 'give with.text' });
  const failed = await rlp('agent', 'test', 'noter');
  expect(failed).toMatchObject({
    code: 1,
    out: expect.stringMatching(/✓ fails.json.*✓ two_words.json.*✗ wrong.json: it answered/s),
  });

  const agent = join(cwd, 'noter/src/agent.ts');
  const source = readFileSync(agent, 'utf8');
  writeFileSync(
    agent,
    source.replace(
      /handle\(request, host\) \{|handle\(request\) \{/,
      "handle(request, host) { host.kb.search({ text: 'x' });",
    ),
  );
  const once = await rlp('agent', 'dev', 'noter', '--with', '{"text":"a"}', '--once');
  expect(once).toMatchObject({ code: 1, err: expect.stringMatching(/refused: kb.search/) });
  writeFileSync(agent, `${source}\nconst broken = ;`);
  expect(await rlp('agent', 'dev', 'noter', '--once')).toMatchObject({
    code: expect.any(Number),
    err: expect.stringMatching(/src\/agent.ts:\d+/),
  });
  expect(await rlp('agent', 'test', 'nobody')).toMatchObject({
    code: 66,
    err: expect.stringMatching(/rlp agent scaffold/),
  });
}, 120_000);

const refused: readonly (readonly [what: string, args: readonly string[], code: number, said: RegExp])[] = [
  ['no name', [], 2, /the name is missing/],
  ['a bad name', ['Note-Taker'], 2, /no name for an agent/],
  ['a folder that is there', ['there'], 65, /there already.*--force moves it/s],
  ['a language without host calls', ['other', '--lang', 'c', '--model'], 2, /files and clocks only/],
  ['a grant that no policy holds', ['other', '--cap-net', 'https://x.org/y'], 2, /that cannot be asked for/],
];

test('a scaffold is refused before anything is written', async () => {
  await using home = new Home({ bare: true });
  mkdirSync(join(home.path, 'there'));
  for (const [what, args, code, said] of refused) {
    const done = await home.rlpWith({ cwd: home.path }, 'agent', 'scaffold', ...args);
    expect(`${what}: ${done.code}`).toBe(`${what}: ${code}`);
    expect(done.err).toMatch(said);
    expect(readdirSync(home.path)).toEqual(['there']);
  }
  writeFileSync(join(home.path, 'there/mine'), 'kept');
  const forced = await home.rlpWith({ cwd: home.path }, 'agent', 'scaffold', 'there', '--force');
  expect(`${forced.code} ${forced.err}`).toMatch(/^0 .*there\.old/);
  expect(readFileSync(join(home.path, 'there.old/mine'), 'utf8')).toBe('kept');
});
