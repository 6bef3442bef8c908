/** One question, two terminals: it is asked in each that looks on, answered in one, and gone in both; and nobody's silence is a yes. */
import { describe, expect, test } from 'vitest';
import { Home } from './home.ts';
import { hasTerminal, Terminal } from './terminal.ts';

const composing = ['examples/openings/compose_email.yaml', '-p', 'recipient=john', '-p', 'topic=plan'];
const compose = `rlp run ${composing.join(' ')}; echo exit $?`;
const john = JSON.stringify({
  contact: 'contact:john',
  name: 'John',
  email: 'john@acme.example',
  confidence: 1,
  trust: 'trusted',
});
const prompt = /type (\w{4}) to let it happen, n to refuse/;

if (!hasTerminal) console.log('skipped: there is no /usr/bin/tmux here');

async function ready(): Promise<Home> {
  const home = new Home();
  await home.rlp('kb', 'propose', '--kind', 'contact.upserted', '--payload', john);
  return home;
}

async function waiting(home: Home): Promise<{ action: string; trace_id: string }> {
  const [first] = await home.json<{ action: string; trace_id: string }[]>('approve');
  return first ?? expect.fail('nothing waits');
}

test('edited by a command: what is performed is what was edited and approved, and the run replays equal', async () => {
  await using home = await ready();
  const trace = (await home.rlp('run', ...composing, '--detach')).out.trim();
  for (let tries = 0; tries < 200 && (await home.json<unknown[]>('approve')).length === 0; tries += 1);
  const { action } = await waiting(home);
  const instead = { to: ['me@acme.example'], subject: 'Edited', body: 'B' };
  expect(await home.rlp('approve', 'edit', action, '--args', 'no JSON')).toMatchObject({ code: 2 });
  expect(await home.rlp('approve', 'edit', action, '--args', '[]')).toMatchObject({ code: 2 });
  const next = await home.json<{ action: string; args: unknown }>(
    'approve',
    'edit',
    action.slice(4, 10),
    '--args',
    JSON.stringify(instead),
  );
  expect(next).toMatchObject({ args: instead, replaces: action });
  expect(await home.rlp('approve', 'edit', action, '--args', '{}')).toMatchObject({ code: 65 });
  expect(await home.rlp('approve', 'done', next.action)).toMatchObject({ code: 2 });
  expect(await home.rlp('approve', 'yes', next.action, '--times', '0')).toMatchObject({ code: 2 });
  expect(await home.rlp('approve', 'yes', next.action, '--hash', '00')).toMatchObject({ code: 65 });
  expect(await home.rlp('approve', 'yes', next.action, '--times', '2')).toMatchObject({ code: 0 });
  expect((await home.rlp('attach', trace, '--ndjson')).code).toBe(0);
  expect(await home.rlp('approve', 'show', action)).toMatchObject({
    code: 0,
    err: expect.stringContaining('edited by operator'),
  });
  expect(await home.json('replay', trace)).toMatchObject({ equal: true });
});

describe.skipIf(!hasTerminal)('on 80 × 24', () => {
  test('asked in one terminal, answered by a command in another: gone in both', async () => {
    await using home = await ready();
    using one = new Terminal(home.path, 'one');
    // Typed before the question stands there: no answer to it.
    one.enter(compose);
    one.enter('n');
    await one.until(prompt);
    const { action } = await waiting(home);
    expect(await home.rlp('approve', 'yes', action)).toMatchObject({ code: 0 });
    await one.until(/was approved \(operator/);
    await one.until(/exit 0/);
    expect(await home.json('approve')).toEqual([]);
    expect(await home.rlp('approve', 'no', action)).toMatchObject({
      code: 65,
      err: expect.stringContaining('answered already: approved by operator'),
    });
  });

  test('the other way round: the open `rlp approve yes` gives way to who answers the run', async () => {
    await using home = await ready();
    using one = new Terminal(home.path, 'one');
    using two = new Terminal(home.path, 'two');
    one.enter(compose);
    const [, code = ''] = await one.until(prompt);
    const { action } = await waiting(home);
    two.enter(`rlp approve yes ${action.slice(0, 10)}; echo exit $?`);
    await two.until(prompt);
    one.enter('y');
    await one.until(/that is none of/);
    one.enter(code);
    await one.until(/exit 0/);
    await two.until(/was approved \(operator[\s\S]*exit 65/);
  });

  test('killed while the question is open: the person is told, stays with the run, and the answer counts', async () => {
    await using home = await ready();
    using one = new Terminal(home.path, 'one');
    one.enter(compose);
    const [, code = ''] = await one.until(prompt);
    await home.kill();
    await one.until(/the daemon is gone/);
    await one.until(/starting the daemon/);
    await waiting(home);
    one.enter(code);
    await one.until(/exit 0/);
    expect((await home.json<unknown[]>('approve', 'list', '--all')).length).toBe(1);
  });

  test('Ctrl-D and Ctrl-C are no answers', async () => {
    await using home = await ready();
    using one = new Terminal(home.path, 'one');
    one.enter(compose);
    await one.until(prompt);
    one.type('', 'C-d');
    await one.until(/the run waits for your answer/);
    const { action, trace_id } = await waiting(home);
    using two = new Terminal(home.path, 'two');
    two.enter(`rlp approve yes ${action}; echo exit $?`);
    await two.until(prompt);
    two.type('', 'C-c');
    await two.until(/it still waits[\s\S]*exit 75/);
    expect(await waiting(home)).toMatchObject({ action });
    one.type('', 'C-c');
    await one.until(/exit 130/);
    expect(await home.json('show', trace_id)).toMatchObject({ state: 'cancelled' });
    const [last] = await home.json<{ state: string }[]>('approve', 'list', '--all');
    expect(last).toMatchObject({ action, state: 'lapsed' });
  });
});
