/** An agent that traps three times in a row is held back, says so everywhere, over a restart, until it is released. */
import { expect, test } from 'vitest';
import { Arena } from './arena.ts';

test('held back after three faults, and let go', async () => {
  await using arena = await Arena.open('');
  for (let i = 0; i < 3; i += 1)
    expect((await arena.play({}, { try: 'recurse' })).end).toMatchObject({ state: 'failed' });
  const held = await arena.play({});
  expect(held.end).toMatchObject({
    code: 'Busy',
    reason: expect.stringMatching(/held back until 20.*rlp agent release hostile/),
  });
  expect(held.audits.at(-1)).toMatchObject({ agent: 'hostile', op: 'agent.start', decision: 'deny' });
  const listed = await arena.home.rlp('agent', 'list');
  expect(listed.err + listed.out).toMatch(/hostile is held back until/);
  await arena.home.kill();
  await arena.home.rlp('daemon', 'start');
  const shown = await arena.home.json<{ quarantine: unknown }>('agent', 'show', 'hostile');
  expect(shown.quarantine).toMatchObject({ faults: 3 });
  expect(await arena.home.rlp('agent', 'release', 'hostile')).toMatchObject({ code: 0 });
  expect(await arena.home.json('agent', 'show', 'hostile')).toMatchObject({ quarantine: null });
  expect((await arena.home.rlp('agent', 'release', 'hostile')).code).toBe(66);
});
