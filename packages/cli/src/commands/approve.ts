/**
 * rlp approve: what waits for a person, shown whole, and the answer.
 */
import { failure, isJsonObject, type JsonObject, parseJson } from '@runloop/core';
import { askApproval, canAsk, showAction } from '../ask-approval.ts';
import { type Arguments, type Command, text, type Tools } from '../command.ts';
import { time } from '../screen.ts';

const listing = {
  about: 'what waits for your yes',
  options: { all: { type: 'boolean', about: 'also what was answered' } },
  examples: [['rlp approve', 'then: rlp approve show <id>']],
  run: list,
} as const;

export const commands: readonly Command[] = [
  { usage: 'approve', ...listing },
  { usage: 'approve list', ...listing },
  {
    usage: 'approve show <id>',
    about: 'one request with everything it would do',
    examples: [['rlp approve show act_12ab', 'all arguments, escaped']],
    run: show,
  },
  {
    usage: 'approve yes <id>',
    about: 'let it happen, as it was asked',
    options: { hash: { type: 'string', about: 'only if the request still has this hash' } },
    examples: [['rlp approve yes act_12ab', 'what runs is the stored request']],
    run: (args, tools) => decide(args, tools, 'approve'),
  },
  {
    usage: 'approve no <id>',
    about: 'refuse it',
    options: { hash: { type: 'string', about: 'only if the request still has this hash' } },
    examples: [['rlp approve no act_12ab', 'the agent is told']],
    run: (args, tools) => decide(args, tools, 'deny'),
  },
];

async function list(args: Arguments, tools: Tools): Promise<number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const all = args['all'] === true;
  const found = await client.value.call('action.list', { all });
  if (!found.ok) return tools.fail(found.error);
  const { actions } = found.value as unknown as { actions: readonly JsonObject[] };
  if (tools.json) tools.screen.json(actions);
  else if (actions.length === 0) tools.screen.note('nothing waits for you');
  else {
    tools.screen.table(
      ['id', 'node', 'what', 'state', 'until'],
      actions.map((action) => [
        cell(action['action']),
        cell(action['node']),
        cell(action['what']),
        cell(action['state'] ?? 'pending'),
        typeof action['expires_ms'] === 'number' ? time(action['expires_ms']) : '-',
      ]),
    );
    if (!all) tools.screen.note('\nlook: rlp approve show <id>   answer: rlp approve yes <id> or no <id>');
  }
  return 0;
}

async function load(args: Arguments, tools: Tools): Promise<JsonObject | number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const found = await client.value.call('action.show', { action: text(args, 'id') ?? '' });
  if (!found.ok) return tools.fail(found.error);
  const action = isJsonObject(found.value) ? found.value : {};
  const stored = action['args_json'];
  const parsed = typeof stored === 'string' ? parseJson(stored) : undefined;
  return parsed?.ok === true ? { ...action, args: parsed.value } : action;
}

async function show(args: Arguments, tools: Tools): Promise<number> {
  const action = await load(args, tools);
  if (typeof action === 'number') return action;
  if (tools.json) tools.screen.json(action);
  else showAction(tools, action);
  return 0;
}

async function decide(args: Arguments, tools: Tools, decision: 'approve' | 'deny'): Promise<number> {
  const action = await load(args, tools);
  if (typeof action === 'number') return action;
  const given = text(args, 'hash');
  const hash = cell(action['hash']);
  if (given !== undefined && given !== hash) {
    return tools.fail(
      failure('Conflict', `request ${cell(action['action'])} has the hash ${hash}`, {
        hint: 'look at it again: rlp approve show',
      }),
    );
  }
  // On a terminal a yes is asked for after everything was shown; a script that says yes has named the request itself.
  if (decision === 'approve' && given === undefined && canAsk(tools.environment)) {
    const answer = await askApproval(tools, action, () => true, new AbortController().signal);
    if (answer !== 'approve') {
      tools.screen.note('nothing was decided');
      return 1;
    }
  }
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const done = await client.value.call('action.decide', { action: action['action'], hash, decision });
  if (!done.ok) return tools.fail(done.error);
  if (tools.json) tools.screen.json(done.value);
  else tools.screen.note(decision === 'approve' ? 'approved' : 'refused');
  return 0;
}

function cell(value: unknown): string {
  return typeof value === 'string' ? value : value === undefined || value === null ? '-' : JSON.stringify(value);
}
