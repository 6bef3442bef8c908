/**
 * Who may do what: the access table of docs/protocol.md as pure functions.
 *
 * 1. Everything is denied unless a line here grants it.
 * 2. A refusal names the grant that was missing.
 */
import { parsePattern } from './topics.ts';

export type Principal = {
  readonly type: 'operator' | 'client' | 'anonymous' | 'daemon';
  /** Who answers for what is done: the same in every session of the same person or token. */
  readonly id: string;
  readonly uid: number;
  readonly pid: number;
  readonly name: string;
  readonly grants: readonly string[];
};

export type Action =
  | { readonly type: 'call'; readonly op: string }
  | {
      readonly type: 'subscribe';
      readonly topic: string;
      readonly session: string;
      readonly ownsRun: (traceId: string) => boolean;
    }
  | { readonly type: 'publish'; readonly topic: string; readonly schemaId: number; readonly isAsked: boolean };

export type Decision = { readonly allowed: true } | { readonly allowed: false; readonly missing: string };

const yes: Decision = { allowed: true };
const no = (missing: string): Decision => ({ allowed: false, missing });

/** Which grant each control operation needs. An operation that is not here needs the operator. */
const grantOf: { readonly [op: string]: string } = {
  'daemon.status': 'daemon.read',
  'run.submit': 'run.submit',
  'run.fork': 'run.submit',
  'run.list': 'run.read',
  'run.show': 'run.read',
  'run.events': 'run.read',
  'run.tape': 'run.read',
  'run.pause': 'run.control',
  'run.resume': 'run.control',
  'run.step': 'run.control',
  'run.cancel': 'run.control',
  'action.list': 'action.read',
  'action.show': 'action.read',
  'kb.query': 'kb.read',
  'kb.search': 'kb.read',
  'kb.why': 'kb.read',
  'kb.blame': 'kb.read',
  'kb.stats': 'kb.read',
  'kb.propose': 'kb.propose',
  'agent.list': 'agent.read',
  'agent.show': 'agent.read',
  'caps.show': 'agent.read',
  'model.list': 'model.read',
  'model.test': 'model.test',
  'bill.query': 'bill.read',
  'config.show': 'config.read',
};

/** Every grant that a client token can carry. */
export const clientGrants: readonly string[] = [...new Set([...Object.values(grantOf), 'sys.read'])].sort();

const actionDecisionSchema = 3006;

export function decide(principal: Principal, action: Action): Decision {
  switch (action.type) {
    case 'call':
      return decideCall(principal, action.op);
    case 'subscribe':
      return decideSubscribe(principal, action);
    case 'publish':
      return decidePublish(principal, action);
    default:
      action satisfies never;
      return no('operator');
  }
}

function decideCall(principal: Principal, op: string): Decision {
  if (principal.type === 'operator' || op === 'daemon.version')
    return principal.type === 'daemon' ? no('a session') : yes;
  const grant = grantOf[op] ?? 'operator';
  return principal.type === 'client' && principal.grants.includes(grant) ? yes : no(grant);
}

function decideSubscribe(principal: Principal, action: Extract<Action, { type: 'subscribe' }>): Decision {
  const segments = parsePattern(action.topic)?.segments ?? [];
  const [first, second, third] = segments;
  if (principal.type === 'daemon') return yes;
  const isOperator = principal.type === 'operator';
  switch (first) {
    case '_inbox':
      return second === action.session ? yes : no(`the inbox of session ${second ?? ''}`);
    case 'agent':
      return isOperator ? yes : no('operator');
    case '*':
    case '**':
      // It would reach rlp/ and agent/ too.
      return isOperator ? yes : no('operator');
    case 'rlp':
      break;
    default:
      return yes;
  }
  if (second === 'sys') return isOperator || hasGrant(principal, 'sys.read') ? yes : no('sys.read');
  if (second === 'actions') return isOperator ? yes : no('operator');
  if (second !== 'runs') return no('nobody subscribes there');
  if (isOperator) return yes;
  const isOneRun = segments.length === 4 && segments[3] === 'events' && third !== undefined && third !== '*';
  if (!isOneRun) return no('operator');
  if (!hasGrant(principal, 'run.read')) return no('run.read');
  return action.ownsRun(third) ? yes : no('a run of its own');
}

function hasGrant(principal: Principal, grant: string): boolean {
  return principal.type === 'client' && principal.grants.includes(grant);
}

function decidePublish(principal: Principal, action: Extract<Action, { type: 'publish' }>): Decision {
  if (principal.type === 'daemon') return yes;
  const { topic } = action;
  if (topic.startsWith('_inbox/')) return action.isAsked ? yes : no('a request that names this reply topic');
  if (topic === 'agent' || topic.startsWith('agent/')) return no('daemon');
  if (topic !== 'rlp' && !topic.startsWith('rlp/')) return topic === '_inbox' ? no('daemon') : yes;
  if (topic !== 'rlp/actions/decisions') return no('daemon');
  if (principal.type !== 'operator') return no('operator');
  return action.schemaId === actionDecisionSchema ? yes : no('schema 3006 on this topic');
}
