/** What an agent gave against what its manifest declares. */
import { type JsonValue, resolveConfig, unwrap } from '@runloop/core';
import { nodesMax } from '@runloop/openings';
import { expect, test } from 'vitest';
import { outputProblem } from '../src/runs/outputs.ts';
import { metaOf } from '../src/runs/tape.ts';
import { bundle, of, Place } from './runs-fixture.ts';

const ports = { in: {}, out: { ok: ['bool'], n: ['number', 'string'], any: ['*'] } };

test.each<[string, string, JsonValue, string | undefined]>([
  ['ok', 'bool', true, undefined],
  ['n', 'number', 1.5, undefined],
  ['n', 'string', '', undefined],
  ['any', 'artifact.x.v1', { a: 1 }, undefined],
  ['any', 'bool', false, undefined],
  ['ok', 'bool', 'true', 'on the port "ok" as a bool that is none: "true"'],
  ['ok', 'bool', null, 'on the port "ok" as a bool that is none: null'],
  ['n', 'number', '1', 'on the port "n" as a number that is none: "1"'],
  ['n', 'string', 1, 'on the port "n" as a string that is none: 1'],
  ['any', 'number', ['x'.repeat(200)], 'as a number that is none: ["xxx'],
  ['ok', 'number', 1, 'a number on the port "ok", which its manifest declares as bool'],
  ['constructor', 'bool', true, 'on the port "constructor", which its manifest does not declare'],
])('on %s, as %s: %j', (port, type, value, says) => {
  const problem = outputProblem({ ports }, { [port]: [{ type, value }] });
  if (says === undefined) expect(problem).toBeUndefined();
  else expect(problem).toContain(says);
});

test('what does not fit fails the node, and says on which port', async () => {
  await using place = await Place.open();
  const declares = { ...bundle, ports: { in: { in: ['*'] }, out: { out: ['bool'] } } };
  const { submit, until } = await place.boot(() => Promise.resolve('yes'), { bundle: declares });
  await submit();
  expect(of(await until('run.finished'), 'node.finished').map(metaOf)).toMatchObject([
    { state: 'failed', code: 'AgentFailed', retryable: false, reason: expect.stringContaining('on the port "out"') },
  ]);
});

test('by default the largest opening may wait', () => {
  expect(unwrap(resolveConfig([]), 'the defaults').config.daemon.nodes_waiting_max).toBeGreaterThanOrEqual(nodesMax);
});
