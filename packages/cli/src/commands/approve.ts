/**
 * rlp approve: what waits for a person, shown whole, and the answer.
 *
 * 1. On a terminal a yes is asked for after everything was shown; a script that says yes has named the request itself.
 * 2. An answer counts for what was shown: it carries its hash.
 */
import {
  failure,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  parseJson,
  type RunEvent,
  sleep,
  systemClock,
} from '@runloop/core';
import type { Client } from '@runloop/sdk';
import { askApproval, canAsk, isCutOff, lineage, showAction } from '../ask-approval.ts';
import { type Arguments, type Command, number, text, type Tools } from '../command.ts';
import { editText } from '../edit-text.ts';
import { ago, time } from '../screen.ts';

/** How long the request that takes an edited one's place is waited for. */
const replacedMsMax = 10_000;
/** The exit code where the answer is still open. */
const stillWaiting = 75;

const listing = {
  about: 'what waits for your yes',
  options: { all: { type: 'boolean', about: 'also what was answered' } },
  examples: [['rlp approve', 'then: rlp approve show <id>']],
  run: list,
} as const;
const hash = { type: 'string', about: 'only if the request still has this hash' } as const;

export const commands: readonly Command[] = [
  { usage: 'approve', ...listing },
  { usage: 'approve list', ...listing },
  {
    usage: 'approve show <id>',
    about: 'one request with everything it would do',
    examples: [['rlp approve show act_12ab', 'all arguments, escaped; the first letters of an id are enough']],
    run: show,
  },
  {
    usage: 'approve yes <id>',
    about: 'let it happen, as it was asked',
    options: {
      hash,
      times: { type: 'number', about: 'so often, for these very arguments in this run' },
      raise: {
        type: 'number',
        about: 'by how much a budget is raised: tokens, calls, or dollars; else by what is missing',
      },
    },
    examples: [
      ['rlp approve yes act_12ab', 'what runs is the stored request'],
      ['rlp approve yes act_12ab --times 3', 'this once, and twice more where it asks the same again'],
      ['rlp approve yes act_34cd --raise 0.50', 'of a budget that is used up'],
    ],
    run: (args, tools) => decide(args, tools, 'approve'),
  },
  {
    usage: 'approve no <id>',
    about: 'refuse it',
    options: { hash },
    examples: [['rlp approve no act_12ab', 'the agent is told']],
    run: (args, tools) => decide(args, tools, 'deny'),
  },
  {
    usage: 'approve done <id>',
    about: 'a call that was cut off has happened',
    options: { hash, value: { type: 'string', about: 'what it gave, as JSON' } },
    examples: [['rlp approve done act_12ab --value \'{"accepted":["a@b.c"]}\'', 'the agent is told this']],
    run: (args, tools) => decide(args, tools, 'done'),
  },
  {
    usage: 'approve edit <id>',
    about: 'change its arguments, in $EDITOR or as JSON: it is asked anew',
    options: { hash, args: { type: 'string', about: 'the arguments to ask for instead, as JSON' } },
    examples: [
      ['rlp approve edit act_12ab', 'in $EDITOR'],
      ['rlp approve edit act_12ab --args \'{"to":["me@b.c"],"subject":"s","body":"b"}\'', 'prints the new request'],
    ],
    run: edit,
  },
];

async function list(args: Arguments, tools: Tools): Promise<number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const all = args['all'] === true;
  const actions = await actionsOf(client.value, all);
  if (typeof actions === 'string') return tools.fail(failure('Internal', actions));
  if (tools.json) tools.screen.json(actions);
  else if (actions.length === 0) tools.screen.note(all ? 'nothing was ever asked' : 'nothing waits for you');
  else {
    tools.screen.table(
      ['id', 'agent', 'node', all ? 'state' : 'expires', 'has seen', 'what'],
      actions.map((action) => [
        cell(action['action']),
        cell(action['agent']),
        cell(action['node']),
        all ? cell(action['state']) : expiry(action['expires_ms']),
        lineage(action).length === 0 ? '-' : flowOf(action),
        cell(action['what']),
      ]),
    );
    if (!all) tools.screen.note('\nlook: rlp approve show <id>   answer: rlp approve yes <id> or no <id>');
  }
  return 0;
}

async function actionsOf(client: Client, all: boolean): Promise<readonly JsonObject[] | string> {
  const found = await client.call('action.list', { all });
  if (!found.ok) return found.error.message;
  return (found.value as unknown as { actions: readonly JsonObject[] }).actions;
}

function expiry(ms: JsonValue | undefined): string {
  return typeof ms === 'number' ? ago(ms - systemClock.nowMs()).replace(/ ago$/, '') : '-';
}

/** What its data is: untrusted, private. */
function flowOf({ flow }: JsonObject): string {
  if (!isJsonObject(flow)) return '-';
  return [flow['trust'], flow['secrecy']].filter((word) => word === 'untrusted' || word === 'private').join(', ');
}

/** The request that is meant, as long as it has the hash that was named. */
async function load(args: Arguments, tools: Tools): Promise<{ client: Client; action: JsonObject } | number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const found = await client.value.call('action.show', { action: text(args, 'id') ?? '' });
  if (!found.ok) return tools.fail(found.error);
  const action = isJsonObject(found.value) ? found.value : {};
  const given = text(args, 'hash');
  if (given === undefined || given === action['hash']) return { client: client.value, action };
  const hint = 'look at it again: rlp approve show';
  return tools.fail(
    failure('Conflict', `request ${cell(action['action'])} has the hash ${cell(action['hash'])}`, { hint }),
  );
}

/** The same, where it still waits. */
async function loadOpen(args: Arguments, tools: Tools): Promise<{ client: Client; action: JsonObject } | number> {
  const loaded = await load(args, tools);
  if (typeof loaded === 'number' || loaded.action['state'] === 'pending') return loaded;
  const { action, state, decided_by: by } = loaded.action;
  if (state === 'lapsed') return tools.fail(failure('Conflict', `request ${cell(action)} is over: its run has ended`));
  return tools.fail(failure('Conflict', `request ${cell(action)} was answered already: ${cell(state)} by ${cell(by)}`));
}

async function show(args: Arguments, tools: Tools): Promise<number> {
  const loaded = await load(args, tools);
  if (typeof loaded === 'number') return loaded;
  const { action } = loaded;
  if (tools.json) {
    tools.screen.json(action);
    return 0;
  }
  showAction(tools, action);
  const { state, decided_by: by, decided_ms: at } = action;
  if (state !== 'pending')
    tools.screen.note(`    ${cell(state)} by ${cell(by)}${typeof at === 'number' ? ` at ${time(at)} UTC` : ''}`);
  else if (isCutOff(action))
    tools.screen.note('\n    has it happened? yes makes it again, done says that it has, no is neither');
  return 0;
}

async function decide(args: Arguments, tools: Tools, decision: 'approve' | 'deny' | 'done'): Promise<number> {
  const value = jsonOf(args, 'value');
  if (typeof value === 'string') return tools.fail(failure('Usage', value));
  const loaded = await loadOpen(args, tools);
  if (typeof loaded === 'number') return loaded;
  const { client, action } = loaded;
  if (decision === 'approve' && text(args, 'hash') === undefined && canAsk(tools.environment)) {
    const elsewhere = await untilAnswered(client, action);
    const answer = await askApproval(tools, action, elsewhere.signal);
    await elsewhere.leave();
    if (elsewhere.signal.aborted) return tools.fail(failure('Conflict', String(elsewhere.signal.reason)));
    if (answer !== 'approve') {
      tools.screen.note('nothing was decided; it still waits');
      return stillWaiting;
    }
  }
  const times = number(args, 'times');
  const raise = number(args, 'raise');
  const done = await client.call('action.decide', {
    action: action['action'],
    hash: action['hash'],
    decision,
    ...(value === undefined ? {} : { value: value.json }),
    ...(times === undefined ? {} : { times }),
    ...(raise === undefined ? {} : { raise: unitsOf(action, raise) }),
  });
  if (!done.ok) return tools.fail(done.error);
  if (tools.json) tools.screen.json(done.value);
  else tools.screen.note({ approve: 'approved', deny: 'refused', done: 'noted that it happened' }[decision]);
  return 0;
}

/** Aborts, with what was said, once somebody has answered in another terminal. */
async function untilAnswered(
  client: Client,
  action: JsonObject,
): Promise<{ readonly signal: AbortSignal; leave(): Promise<void> }> {
  const answered = new AbortController();
  const decisions = await client.subscribe('rlp/actions/decisions');
  if (!decisions.ok) return { signal: answered.signal, leave: () => Promise.resolve() };
  const listen = async (): Promise<void> => {
    for await (const { payload } of decisions.value) {
      const { message, meta } = payload as unknown as RunEvent;
      if (meta['action'] === action['action']) return answered.abort(message);
    }
  };
  void listen();
  return { signal: answered.signal, leave: async () => decisions.value[Symbol.asyncDispose]() };
}

/** Dollars as the ledger counts them. */
function unitsOf({ args }: JsonObject, amount: number): number {
  return isJsonObject(args) && args['unit'] === 'usd_nano' ? Math.round(amount * 1e9) : amount;
}

async function edit(args: Arguments, tools: Tools): Promise<number> {
  const given = jsonOf(args, 'args');
  if (typeof given === 'string') return tools.fail(failure('Usage', given));
  const loaded = await loadOpen(args, tools);
  if (typeof loaded === 'number') return loaded;
  const { client, action } = loaded;
  let instead = given?.json;
  if (instead === undefined) {
    const edited = await editText(tools.environment, `${JSON.stringify(action['args'], null, 2)}\n`);
    if (!edited.ok) return tools.fail(edited.error);
    const parsed = parseJson(edited.value);
    if (!parsed.ok) return tools.fail(failure('Usage', `what you wrote is not JSON: ${parsed.error}`));
    instead = parsed.value;
  }
  const done = await client.call('action.edit', { action: action['action'], hash: action['hash'], args: instead });
  if (!done.ok) return tools.fail(done.error);
  const { signal } = new AbortController();
  for (let waited = 0; waited < replacedMsMax; waited += 100) {
    const actions = await actionsOf(client, false);
    const next = typeof actions === 'string' ? undefined : actions.find((one) => one['replaces'] === action['action']);
    if (next !== undefined) {
      if (tools.json) tools.screen.json(next);
      else {
        showAction(tools, next);
        tools.screen.note(`\nnow: rlp approve yes ${cell(next['action'])}`);
      }
      return 0;
    }
    await sleep(systemClock, 100, signal);
  }
  tools.screen.note('rlp: edited; it is asked anew when its node has a slot: rlp approve list');
  return stillWaiting;
}

/** The option as JSON, or what is wrong with it. */
function jsonOf(args: Arguments, name: string): { readonly json: JsonValue } | string | undefined {
  const given = text(args, name);
  if (given === undefined) return undefined;
  const parsed = parseJson(given);
  return parsed.ok ? { json: parsed.value } : `--${name} is not JSON: ${parsed.error}`;
}

function cell(value: unknown): string {
  return typeof value === 'string' ? value : value === undefined || value === null ? '-' : JSON.stringify(value);
}
