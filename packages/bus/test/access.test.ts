/** The access table, cell by cell, and topics. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Action,
  type Principal,
  clientGrants,
  decide,
  isTopic,
  matches,
  parsePattern,
  topicSegmentsMax,
} from '../src/index.ts';

const who = (type: Principal['type'], grants: readonly string[] = []): Principal => ({
  type,
  id: type,
  uid: 1,
  pid: 1,
  name: type,
  grants,
});
const principals = {
  none: who('anonymous'),
  client: who('client', ['run.submit', 'run.read', 'sys.read']),
  operator: who('operator'),
  daemon: who('daemon'),
};

describe('access', () => {
  const check = (name: string, action: Action, allowed: string): void => {
    test(name, () => {
      const may = Object.entries(principals)
        .filter(([, principal]) => decide(principal, action).allowed)
        .map(([key]) => key);
      expect(may.join(' ')).toBe(allowed);
    });
  };
  const call = (op: string): Action => ({ type: 'call', op });
  const sub = (topic: string, own = false): Action => ({ type: 'subscribe', topic, session: 's1', ownsRun: () => own });
  const pub = (topic: string, schemaId = 1, isAsked = false): Action => ({ type: 'publish', topic, schemaId, isAsked });

  check('daemon.version', call('daemon.version'), 'none client operator');
  check('run.submit', call('run.submit'), 'client operator');
  check('kb.query without its grant', call('kb.query'), 'operator');
  for (const op of [
    'token.issue',
    'secret.put',
    'action.decide',
    'agent.install',
    'daemon.drain',
    'no.such',
    'constructor',
  ]) {
    check(op, call(op), 'operator');
  }
  check('subscribe elsewhere', sub('a/**'), 'none client operator daemon');
  check('subscribe to all', sub('**'), 'operator daemon');
  check('subscribe by a first wildcard', sub('*/sys/drops'), 'operator daemon');
  check('subscribe rlp/sys', sub('rlp/sys/**'), 'client operator daemon');
  check('subscribe to a run of its own', sub('rlp/runs/aa/events', true), 'client operator daemon');
  check("subscribe to another's run", sub('rlp/runs/aa/events'), 'operator daemon');
  check('subscribe to all runs', sub('rlp/runs/*/events', true), 'operator daemon');
  check('subscribe below a run', sub('rlp/runs/aa/**', true), 'operator daemon');
  check('subscribe to approvals', sub('rlp/actions/**'), 'operator daemon');
  check('subscribe to control', sub('rlp/ctrl'), 'daemon');
  check('subscribe to agents', sub('agent/**'), 'operator daemon');
  check('subscribe to its inbox', sub('_inbox/s1/**'), 'none client operator daemon');
  check("subscribe to another's inbox", sub('_inbox/s2/x'), 'daemon');
  check('subscribe to all inboxes', sub('_inbox/**'), 'daemon');
  check('publish elsewhere', pub('a/b'), 'none client operator daemon');
  check('publish to rlp', pub('rlp/sys/drops'), 'daemon');
  check('publish to agent', pub('agent/x'), 'daemon');
  check('publish a decision', pub('rlp/actions/decisions', 3006), 'operator daemon');
  check('publish something else there', pub('rlp/actions/decisions', 1), 'daemon');
  check('answer when asked', pub('_inbox/s2/x', 1, true), 'none client operator daemon');
  check('answer unasked', pub('_inbox/s2/x'), 'daemon');

  test('a refusal names the missing grant', () => {
    expect(decide(principals.none, call('run.submit'))).toEqual({ allowed: false, missing: 'run.submit' });
    expect(clientGrants).toContain('run.submit');
    expect(clientGrants).not.toContain('action.decide');
  });
});

describe('topics', () => {
  const check = (pattern: string, topic: string, expected: boolean): void => {
    test(`${pattern} ~ ${topic}`, () => {
      const parsed = parsePattern(pattern);
      expect(parsed !== undefined && matches(parsed, topic)).toBe(expected);
    });
  };
  check('a/b', 'a/b', true);
  check('a/b', 'a/c', false);
  check('a/*', 'a/b', true);
  check('a/*', 'a/b/c', false);
  check('a/**', 'a/b/c', true);
  check('a/**', 'a', false);
  check('*/b', 'a/b', true);
  check('**', 'a/b', true);
  check('**', '_inbox/s/1', false);
  check('*/s/1', '_inbox/s/1', false);
  check('a/**/c', 'a/b/c', false);

  test('A10: what is a topic', () => {
    expect(isTopic(Array.from({ length: topicSegmentsMax }, () => 'a').join('/'))).toBe(true);
    expect(isTopic(Array.from({ length: topicSegmentsMax + 1 }, () => 'a').join('/'))).toBe(false);
    expect(isTopic('x'.repeat(64))).toBe(true);
    expect(['x'.repeat(65), '', '/', 'a//b', 'a b', 'a/*', 'é'].filter(isTopic)).toEqual([]);
    fc.assert(
      fc.property(fc.string(), (text) => isTopic(text) === /^[\w.:-]{1,64}(?:\/[\w.:-]{1,64}){0,15}$/.test(text)),
    );
  });
});
