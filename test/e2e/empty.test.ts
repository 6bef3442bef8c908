/**
 * The empty state helps: every command that only looks answers in a state directory in which nothing has happened (A12).
 */
import { expect, test } from 'vitest';
import { Home } from './home.ts';

const looking: readonly (readonly [readonly string[], number])[] = [
  [[], 0],
  [['help'], 0],
  [['--version'], 0],
  [['version'], 0],
  [['runs'], 0],
  [['approve'], 0],
  [['approve', 'list', '--all'], 0],
  [['artifacts'], 0],
  [['bill'], 0],
  [['models'], 0],
  [['drops'], 0],
  [['logs'], 0],
  [['kb', 'search', 'nothing'], 0],
  [['kb', 'query', 'select * from runs'], 0],
  [['kb', 'stats'], 0],
  [['kb', 'verify'], 0],
  [['kb', 'rebuild'], 0],
  [['kb', 'why', 'contact:nobody'], 66],
  [['kb', 'blame', 'contact:nobody', 'email'], 66],
  [['kb', 'query', 'delete from runs'], 2],
  [['agent', 'list'], 0],
  [['agent', 'show', 'greeter'], 0],
  [['opening', 'list'], 0],
  [['config', 'path'], 0],
  [['config', 'show'], 0],
  [['config', 'show', 'bus', '--origin'], 0],
  [['config', 'show', 'nothing'], 66],
  [['config', 'validate'], 0],
  [['token', 'list'], 0],
  [['daemon', 'status'], 0],
  [['daemon', 'logs'], 0],
  [['bus', 'ping'], 0],
  [['doctor'], 0],
  [['why', 'git status'], 0],
  [['show', '0'.repeat(32)], 66],
  [['replay', '0'.repeat(32)], 66],
  [['attach', '0'.repeat(32)], 66],
  [['cancel', '0'.repeat(32)], 66],
  [['artifacts', 'cat', 'abcd'], 66],
  [['approve', 'yes', 'act_0'], 66],
  [['kb'], 2],
  [['token', 'issue'], 2],
];

test('each answers, for people and for programs', async () => {
  await using home = new Home();
  await home.rlp('daemon', 'start');
  for (const [args, code] of looking) {
    const done = await home.rlp(...args);
    const what = `rlp ${args.join(' ')}`;
    expect(`${what}: ${done.code} ${done.err}`).toContain(`${what}: ${code} `);
    expect(`${what}: ${done.err}`).not.toContain('defect');
    if (code === 0) expect(`${what}: ${done.out}${done.err}`.length).toBeGreaterThan(what.length + 2);
    else expect(`${what}: ${done.err}`).toContain('rlp: ');
    const isHelp =
      args.length === 0 || args[0] === 'help' || args[0] === '--version' || (args.length === 1 && code === 2);
    if (isHelp) continue;
    const json = await home.rlp(...args, '--json');
    expect(`${what} --json: ${json.code}`).toBe(`${what} --json: ${code}`);
    if (code === 0 && json.out !== '' && args[1] !== 'logs')
      expect(() => JSON.parse(json.out) as unknown, `${what} --json`).not.toThrow();
  }
}, 240_000);

test('every command has --help with an example', async () => {
  await using home = new Home({ bare: true });
  const overview = (await home.rlp()).out;
  for (const words of [
    'run',
    'plan',
    'runs',
    'show',
    'approve yes',
    'replay',
    'kb why',
    'agent build',
    'daemon start',
    'config show',
    'token issue',
    'bus sub',
    'route',
  ]) {
    const done = await home.rlp(...words.split(' '), '--help');
    expect(`${words}: ${done.code}`).toBe(`${words}: 0`);
    expect(done.out).toContain(`rlp ${words}`);
    if (words !== 'route') expect(done.out).toContain('Examples:');
    expect(overview).toContain(words.split(' ')[0]);
  }
});
