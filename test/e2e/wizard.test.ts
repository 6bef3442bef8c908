/** `rlp agent scaffold` on a real terminal: what it asks, what it makes of the answers, and that Ctrl-C leaves nothing. */
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Home } from './home.ts';

const hasScript = existsSync('/usr/bin/script');
if (!hasScript) process.stderr.write('there is no script(1) of util-linux: the wizard is not tried on a terminal\n');

describe.skipIf(!hasScript)('the wizard', () => {
  let home: Home;
  let cwd: string;
  beforeAll(() => {
    home = new Home({ bare: true });
    cwd = join(home.path, 'work');
    mkdirSync(cwd);
  });
  afterAll(() => home[Symbol.asyncDispose]());

  test('asks for everything, again for what will not do, and writes what was answered', async () => {
    const { code, screen } = await home.dialogue(
      cwd,
      ['agent', 'scaffold'],
      [
        ['name, such as note_taker: ', 'Bad Name\r'],
        ['name, such as note_taker: ', 'asked\r'],
        ['language: ts, c or rust [ts]: ', 'cobol\r'],
        ['language: ts, c or rust [ts]: ', '\r'],
        ['folders that it may read, with :rw also write: ', 'in, out:rw\r'],
        ['hosts that it may reach: ', 'api.example.com\r'],
        ['domains of the knowledge base to read: ', 'notes contacts\r'],
        ['domains of the knowledge base to write: ', '\r'],
        ['does it call a model (y/n) [n]: ', 'maybe\r'],
        ['does it call a model (y/n) [n]: ', 'y\r'],
        ['an opening that runs it (y/n) [n]: ', 'Yes\r'],
      ],
    );
    expect(screen).toMatch(/next: rlp agent build asked, then: rlp run asked\/asked.yaml/);
    expect(code).toBe(0);
    expect(screen.match(/that will not do/g)).toHaveLength(3);
    const policy = readFileSync(join(cwd, 'asked/policy.caps'), 'utf8');
    for (const line of [join(cwd, 'in'), `path = "${join(cwd, 'out')}", write = true`, 'api.example.com', 'model'])
      expect(policy).toContain(line);
    expect(policy).toMatch(/kb_read = \["notes", "contacts"\]/);
    expect(policy).not.toMatch(/^kb_write/m);
    expect(existsSync(join(cwd, 'asked/asked.yaml'))).toBe(true);
  });

  test('does not ask what flags have said, nor a program what it cannot have', async () => {
    const { code, screen } = await home.dialogue(
      cwd,
      ['agent', 'scaffold', 'said', '--lang', 'rust', '--cap-fs', '/srv'],
      [['an opening that runs it (y/n) [n]: ', '\r']],
    );
    expect(`${code} ${screen}`).toMatch(/^0 /);
    expect(screen).not.toMatch(/name, such|language:|folders|hosts|domains|model/);
    expect(readdirSync(join(cwd, 'said'))).not.toContain('said.yaml');
  });

  test.each([
    ['Ctrl-C', '\u0003'],
    ['the end of input', '\u0004'],
  ])(
    '%s leaves nothing behind',
    async (_, key) => {
      const before = readdirSync(cwd);
      const turns = [['language: ts, c or rust [ts]: ', key]] as const;
      expect(await home.dialogue(cwd, ['agent', 'scaffold', 'broken'], turns)).toMatchObject({ code: 130 });
      expect(readdirSync(cwd)).toEqual(before);
    },
    60_000,
  );
});
