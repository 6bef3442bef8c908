/**
 * rlp ask: a question to the assistant, about the folder in which one stands.
 *
 * 1. On a terminal its thoughts and calls stream by; into a pipe goes the answer alone, with its sources.
 * 2. The folder goes along where it is one that a run may be given; otherwise the assistant has no files, and is said so.
 * 3. Without a model nothing is started: one screen says how to get one.
 */
import {
  errorTable,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  newTraceId,
  parseJson,
  showLine,
  systemRandom,
  type TraceId,
} from '@runloop/core';
import type { Client } from '@runloop/sdk';
import { canAsk } from '../ask-approval.ts';
import { AskView } from '../ask-view.ts';
import { type Arguments, type Command, flag, number, text, type Tools } from '../command.ts';
import { Fill } from '../fill.ts';
import { follow } from '../follow.ts';
import { showNoProvider, whereOf } from '../no-provider.ts';
import { watchPassing } from '../passing.ts';
import { patiently } from '../patience.ts';
import { readFolder, repositoryAbove } from '../read-folder.ts';
import { showDiagnostics } from '../show-diagnostics.ts';

/** The opening of the plan mode: what it leaves of the assistant can only read. */
const planOpening = 'ask_plan';

export const commands: readonly Command[] = [
  {
    usage: 'ask <prompt>',
    about: 'ask the assistant about this folder; the same as rlp "<prompt>"',
    options: {
      plan: { type: 'boolean', about: 'only look, and answer with a plan' },
      steps: { type: 'number', about: 'calls of the model at most' },
      folder: { type: 'string', about: 'another folder than the one in which you stand' },
    },
    examples: [
      ['rlp "which files did I change most this month?"', 'reads this folder, and cites what it read'],
      ['rlp ask --plan "split the parser in two"', 'changes nothing'],
      ['rlp ask "what is new?" | cat', 'the answer alone'],
    ],
    run,
  },
];

async function run(args: Arguments, tools: Tools): Promise<number> {
  const { environment, screen } = tools;
  const config = await tools.config();
  if (!config.ok) return tools.fail(config.error);
  const given = text(args, 'folder');
  const folder = readFolder(given ?? '.', environment);
  if (!folder.ok && given !== undefined) return tools.fail(folder.error);
  if (!folder.ok) screen.failure({ ...folder.error, message: `it gets no files: ${folder.error.message}` });
  const top = folder.ok ? repositoryAbove(folder.value) : undefined;
  if (top !== undefined)
    screen.note(`rlp: it has no git here; at the top of the repository: --folder ${showLine(top)}`);
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const { default_opening: opening } = config.value.config.router;
  const configFile = `${environment.root}/config.yaml`;
  const listed = await client.value.call('model.list', {});
  if (!listed.ok) return tools.fail(listed.error);
  if (opening === 'ask' && isEmpty(listed.value)) {
    showNoProvider(screen, 'there is no model to ask: no provider is configured', configFile);
    return errorTable.ProviderUnavailable.exit;
  }
  const traceId = newTraceId(systemRandom);
  const steps = number(args, 'steps');
  const view = new AskView(environment, screen, tools.json);
  await using watched = await watchPassing(client.value, traceId, (event) => view.passing(event));
  const submission = client.value.call(
    'run.submit',
    {
      name: flag(args, 'plan') ? planOpening : opening,
      params: { prompt: (text(args, 'prompt') ?? '').trim(), ...(steps === undefined ? {} : { steps }) },
      on_confirm: canAsk(environment) ? 'wait' : 'deny',
      ...(folder.ok ? { folder: folder.value } : {}),
    },
    { traceId, timeoutMs: 120_000 },
  );
  const submitted = await patiently(screen, submission);
  if (!submitted.ok)
    return showDiagnostics(submitted.error, tools)
      ? errorTable[submitted.error.code].exit
      : tools.fail(submitted.error);
  const code = await follow({ client: client.value, traceId, tools, ndjson: false, owns: true, keep: undefined, view });
  await watched.drained();
  if (code === 0) {
    // The daemon may have been another one when the run ended.
    const now = (await client.value.ping()).ok ? client : await tools.connect();
    return now.ok ? show(now.value, traceId, view, tools) : tools.fail(now.error);
  }
  if (view.reason.startsWith('ProviderUnavailable: ')) {
    const why = view.reason.slice('ProviderUnavailable: '.length);
    const { providers } = config.value.config.models.broker;
    showNoProvider(screen, `${why}${whereOf(why, providers)}`, configFile);
    return errorTable.ProviderUnavailable.exit;
  }
  screen.note(`rlp: ${showLine(view.reason === '' ? `the run was ${view.state}` : view.reason)}`);
  const hint = hints[view.reason.split(':')[0] ?? ''];
  if (hint !== undefined) screen.note(`     ${hint}`);
  screen.note(`     what happened: rlp trace ${traceId}`);
  return code;
}

/** What can be done about an end, by its code. */
const hints: { readonly [code: string]: string | undefined } = {
  UnknownPrice: 'say what it costs: models.broker.prices in config.yaml (docs/broker.md)',
  BudgetExceeded: 'what may be spent: models.broker.budgets in config.yaml (docs/broker.md)',
};

function isEmpty(listed: JsonValue): boolean {
  return isJsonObject(listed) && Array.isArray(listed['models']) && listed['models'].length === 0;
}

async function show(client: Client, traceId: TraceId, view: AskView, tools: Tools): Promise<number> {
  const { environment, screen } = tools;
  const answer = await answerOf(client, traceId);
  if (tools.json) {
    screen.json({ trace_id: traceId, ...answer });
    return 0;
  }
  const said = typeof answer['text'] === 'string' ? answer['text'] : JSON.stringify(answer, undefined, 2);
  const isTerminal = environment.streams.out.isTTY === true;
  const plain = (words: string): string => words.replace(/\s+/g, ' ').trim();
  // It has been read already where nothing of it was lost on the way.
  if (!isTerminal || plain(view.said) !== plain(said)) {
    const fill = new Fill(isTerminal ? screen.width : Infinity, (words) => void environment.streams.out.write(words));
    fill.push(said);
    fill.end();
  }
  const sources = Array.isArray(answer['sources'])
    ? (answer['sources'] as readonly JsonValue[]).filter(isJsonObject)
    : [];
  if (sources.length > 0) screen.line();
  for (const { n, what } of sources) screen.line(screen.paint('dim', `[${String(n)}] ${showLine(String(what))}`));
  if (typeof answer['stopped'] === 'string')
    screen.note(`rlp: it ended early: ${showLine(stops[answer['stopped']] ?? answer['stopped'])}`);
  if (isTerminal) screen.line(screen.paint('dim', `${view.cost} · rlp trace ${traceId}`));
  return 0;
}

const stops: { readonly [stopped: string]: string } = {
  steps: 'its steps are used up; more of them: rlp ask --steps 30 "…"',
  budget: 'its budget is used up',
  repeats: 'the model went round in circles',
};

/** The first thing that the run has made; what it is, its opening says. */
async function answerOf(client: Client, traceId: TraceId): Promise<JsonObject> {
  const found = await client.call('kb.artifacts', { trace_id: traceId });
  const [first] = found.ok ? (found.value as { artifacts: readonly { digest: string }[] }).artifacts : [];
  const blob = first === undefined ? undefined : await client.call('kb.blob', { digest: first.digest });
  if (blob?.ok !== true) return {};
  const parsed = parseJson(Buffer.from((blob.value as { base64: string }).base64, 'base64').toString('utf8'));
  return parsed.ok && isJsonObject(parsed.value) ? parsed.value : {};
}
