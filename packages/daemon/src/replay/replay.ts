/**
 * Runs finished runs again over their tapes and compares: needs no daemon, calls no provider, writes nothing.
 *
 * 1. A tape comes from this state directory or from a file; components always from here, installed and trusted.
 * 2. The first difference in the order of the run is told, with what was recorded and what came out.
 */
import { join } from 'node:path';
import {
  type Clock,
  type Config,
  err,
  failure,
  type Failure,
  isJsonObject,
  type JsonObject,
  type Log,
  ok,
  type Random,
  type Result,
} from '@runloop/core';
import { openTapeReader, type StoredEvent, type TapeReader } from '@runloop/kb';
import { type Cells, createCells, hostKey } from '@runloop/runtime';
import { type AgentInterface, parseOpening, validateOpening } from '@runloop/openings';
import { AgentRegistry, interfaceOf } from '../agents/registry.ts';
import { Trust } from '../agents/trust.ts';
import { homeAt, searchDirs } from '../home/home.ts';
import { type AgentPins, pinOf } from '../runs/pin-of.ts';
import type { OpeningText } from '../runs/submission.ts';
import { metaOf, readRun } from '../runs/tape.ts';
import { Values } from '../runs/values.ts';
import { Scrubber } from '../secrets/scrubber.ts';
import { type AgentFor, Replay } from './attempts.ts';
import { changedDivergence } from './intact.ts';
import type { NodeReplay, ReplayDivergence, ReplayReport } from './report.ts';
import { tapeLines } from './tape-file.ts';
import type { TapeSource } from './tape-source.ts';

export type ReplayDeps = { readonly clock: Clock; readonly random: Random; readonly log: Log };
export type ReplayOptions = { readonly root: string; readonly config: Config };

export interface Replayer extends AsyncDisposable {
  /** Runs that have finished, in the order in which they did. */
  finished(): Promise<Result<readonly string[], Failure>>;
  /** The settings that `opening` gives its nodes take the place of theirs; `source` that of this state directory. */
  replay(
    traceId: string,
    progress: (node: NodeReplay) => void,
    given?: { readonly source?: TapeSource; readonly opening?: OpeningText },
  ): Promise<Result<ReplayReport, Failure>>;
  /** The lines of a file that holds the run's tape. */
  lines(traceId: string): Promise<Result<AsyncIterable<string>, Failure>>;
}

export async function openReplayer(
  deps: ReplayDeps,
  { root, config }: ReplayOptions,
): Promise<Result<Replayer, Failure>> {
  const home = homeAt(root, config);
  await using opening = new AsyncDisposableStack();
  const reader = openTapeReader(deps, { rootDir: home.kb, eventsDb: join(home.kb, config.kb.events_db) });
  if (!reader.ok && reader.error.code !== 'NotFound') return reader;
  const own: TapeReader | undefined = reader.ok ? opening.use(reader.value) : undefined;
  const key = await hostKey(home.keys);
  if (!key.ok) return key;
  const agents = new AgentRegistry(
    { ...deps, hostKey: key.value, trust: new Trust({ ...deps, hostKey: key.value }, { root }) },
    { searchDirs: searchDirs(config.agents.search_dirs, root, undefined), cacheDir: home.cache, storeDir: home.store },
  );
  const cells = opening.use(
    createCells({ ...deps, hostKey: key.value }, { cacheDir: join(home.cache, 'cells'), spares: 0 }),
  );
  const opened = opening.move();
  const missing = (): Result<never, Failure> =>
    reader.ok ? err(failure('Internal', 'assumed a ledger')) : err(reader.error);
  return ok({
    finished: () => own?.finishedRuns() ?? Promise.resolve(missing()),
    async replay(traceId, progress, { source = own, opening: changed } = {}) {
      if (source === undefined) return missing();
      const rows = await finishedRows(source, traceId);
      if (!rows.ok) return rows;
      const agentFor = agentsHere(agents);
      const settings = changed === undefined ? ok(undefined) : await settingsIn(changed, rows.value, agentFor);
      if (!settings.ok) return settings;
      const playing = replayRows(source, rows.value, agentFor, cells, progress, settings.value);
      return source === own ? playing : playing.catch(foreign);
    },
    async lines(traceId) {
      if (own === undefined) return missing();
      const rows = await finishedRows(own, traceId);
      return rows.ok ? ok(tapeLines(rows.value, own)) : rows;
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  });
}

/** What comes from elsewhere may hold anything: the engine never wrote it. */
function foreign(error: unknown): Result<never, Failure> {
  const why = error instanceof Error ? error.message : String(error);
  return err(failure('InvalidParams', `the tape holds what no run writes: ${why}`));
}

async function finishedRows(source: TapeSource, traceId: string): Promise<Result<readonly StoredEvent[], Failure>> {
  const rows = await readRun(source, traceId);
  if (!rows.ok) return rows;
  if (rows.value.length === 0) return err(failure('NotFound', `there is no run ${traceId}`, { hint: 'see: rlp runs' }));
  if (rows.value.some((row) => row.payload === null))
    return err(
      failure('NotFound', `run ${traceId} was forgotten: its values were erased`, { details: { forgotten: true } }),
    );
  if (!rows.value.some((row) => row.kind === 'run.finished'))
    return err(failure('Busy', `run ${traceId} has not finished`, { hint: 'wait for it: rlp attach' }));
  return rows;
}

/** The kept copy, or the very same bundle where it is installed. */
function agentsHere(agents: AgentRegistry): AgentFor {
  return async ({ id, use }, digest) => {
    const kept = await agents.pinned(use.name, digest);
    if (kept.ok || kept.error.code !== 'InvalidBundle') return kept;
    const here = await agents.resolve(use.name);
    if (here.ok && here.value.digest === digest) return here;
    const have = here.ok ? `here is ${here.value.digest.slice(0, 12)}…` : 'it is not installed here';
    return err(
      failure('NotFound', `node "${id}" ran with agent ${use.name} ${digest.slice(0, 12)}…; ${have}`, {
        hint: 'install that very bundle: rlp agent install <bundle>',
      }),
    );
  };
}

/** What another opening gives the nodes of a run, with the parameters that the run had. */
async function settingsIn(
  { file, text }: OpeningText,
  rows: readonly StoredEvent[],
  agentFor: AgentFor,
): Promise<Result<ReadonlyMap<string, JsonObject>, Failure>> {
  const parsed = parseOpening(file, text);
  const { params, agents = {} } = rows[0] === undefined ? {} : metaOf(rows[0]);
  const interfaces = new Map<string, AgentInterface>();
  for (const node of parsed.opening?.nodes ?? []) {
    const bundle = await agentFor(node, pinOf(agents as AgentPins, node));
    if (bundle.ok) interfaces.set(node.use.name, interfaceOf(bundle.value));
  }
  const opening = validateOpening(parsed, interfaces, isJsonObject(params) ? params : {});
  if (opening !== undefined) return ok(new Map(opening.nodes.map((node) => [node.id, node.with])));
  const { list: diagnostics } = parsed.diagnostics;
  return err(
    failure('InvalidOpening', `${file}: it cannot take the place of the run's opening`, { details: { diagnostics } }),
  );
}

async function replayRows(
  source: TapeSource,
  rows: readonly StoredEvent[],
  agentFor: AgentFor,
  cells: Cells,
  progress: (node: NodeReplay) => void,
  settings?: ReadonlyMap<string, JsonObject>,
): Promise<Result<ReplayReport, Failure>> {
  const [first] = rows;
  const last = rows.findLast((row) => row.kind === 'run.finished');
  if (first === undefined || last === undefined) throw new Error('assumed a run that has finished');
  const traceId = first.trace_id ?? '';
  const changed = await source.firstChanged(traceId);
  if (!changed.ok) return changed;
  const write = (): Promise<Result<never, Failure>> =>
    Promise.resolve(err(failure('Internal', 'a replay writes nothing')));
  const getBlob = (digest: string): Promise<Result<Uint8Array, Failure>> => source.getBlob(digest);
  const values = new Values({ getBlob, putBlob: write, append: write }, new Scrubber());
  const compared = await new Replay(rows, values, agentFor, cells, settings).run(progress);
  if (!compared.ok) return compared;
  const divergence = firstOf(
    rows,
    changed.value === undefined ? undefined : changedDivergence(rows, changed.value),
    compared.value.divergence,
  );
  return ok({
    trace_id: traceId,
    name: String(metaOf(first)['name']),
    state: String(metaOf(last)['state']),
    nodes: compared.value.nodes,
    equal: divergence === undefined,
    ...(divergence === undefined ? {} : { divergence }),
  });
}

/** Of a changed event and what came out otherwise: what lies first in the run; of two at one place, what came out. */
function firstOf(
  rows: readonly StoredEvent[],
  changed: ReplayDivergence | undefined,
  played: ReplayDivergence | undefined,
): ReplayDivergence | undefined {
  if (changed === undefined || changed.node === '' || played === undefined) return played ?? changed;
  if (changed.node === played.node && changed.attempt === played.attempt)
    return (changed.call ?? Infinity) < (played.call ?? Infinity) ? changed : played;
  const at = (node: string): number => rows.findIndex((row) => metaOf(row)['node'] === node);
  return at(changed.node) < at(played.node) ? changed : played;
}
