/**
 * Tortures an opening of the operator's: their agents in real cells, their ledger as it stands now, a world that is made up.
 *
 * It works on a copy in a directory of its own, which it removes; neither their ledger nor anything outside is touched.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Clock,
  type Config,
  err,
  type Failure,
  failure,
  type JsonObject,
  type Log,
  newTraceId,
  ok,
  type Random,
  type Result,
} from '@runloop/core';
import { copyLedger, openKb } from '@runloop/kb';
import { createCells, hostKey } from '@runloop/runtime';
import { AgentRegistry } from '../agents/registry.ts';
import { Trust } from '../agents/trust.ts';
import { nestedOpenings } from '../control/nested-openings.ts';
import { findOpening } from '../control/opening-names.ts';
import { homeAt, searchDirs } from '../home/home.ts';
import type { OpeningText } from '../runs/submission.ts';
import { torture, type TortureReport } from './torture.ts';

export type AtHomeDeps = { readonly clock: Clock; readonly random: Random; readonly log: Log };
export type AtHomeOptions = {
  readonly root: string;
  readonly config: Config;
  readonly checkout: string | undefined;
  readonly homeDir: string;
  /** The text, or the name of one of the openings that can be run by name. */
  readonly source: OpeningText | string;
  readonly nested: JsonObject;
  readonly params: JsonObject;
  readonly seed: string;
  readonly every: number;
};

export async function tortureAtHome(
  deps: AtHomeDeps,
  options: AtHomeOptions,
  progress: (done: number, all: number) => void,
): Promise<Result<TortureReport, Failure>> {
  const { root, config, checkout, params, seed, every } = options;
  const home = homeAt(root, config);
  const dirs = searchDirs(config.openings.search_dirs, root, checkout);
  const source = typeof options.source === 'string' ? await findOpening(dirs, options.source) : options.source;
  if (source === undefined)
    return err(
      failure('NotFound', `there is no opening "${String(options.source)}"`, { hint: 'see: rlp opening list' }),
    );
  const nested = await nestedOpenings(source, options.nested, dirs);
  if (!nested.ok) return nested;
  const key = await hostKey(home.keys);
  if (!key.ok) return key;
  const scratch = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'runloop-torture-'));
  try {
    const ledger = await ledgerCopy(deps, join(home.kb, config.kb.events_db), join(scratch, 'ledger'));
    if (!ledger.ok) return ledger;
    const all = { ...deps, hostKey: key.value };
    const agents = new AgentRegistry(
      { ...all, trust: new Trust(all, { root }) },
      {
        searchDirs: searchDirs(config.agents.search_dirs, root, checkout),
        ...(checkout === undefined
          ? {}
          : { builtIn: { dir: join(checkout, 'agents'), sdkDir: join(checkout, 'packages', 'agent-sdk') } }),
        cacheDir: home.cache,
        storeDir: join(scratch, 'store'),
      },
    );
    await using cells = createCells(all, { cacheDir: join(home.cache, 'cells'), spares: 0 });
    const hidden = [root, home.kb, home.keys, home.cache, scratch];
    const { homeDir } = options;
    return await torture(
      { config, agents, cells, homeDir, hidden, scratch: join(scratch, 'lives'), ledger: ledger.value, seed, every },
      {
        traceId: newTraceId(deps.random),
        file: source.file,
        text: source.text,
        nested: nested.value,
        params,
        onConfirm: 'wait',
        priority: 0,
        seed: '07'.repeat(32),
      },
      progress,
    );
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** The ledger with its views made, so that no life has to make them again. */
async function ledgerCopy(deps: AtHomeDeps, eventsDb: string, into: string): Promise<Result<string, Failure>> {
  mkdirSync(into, { recursive: true });
  const copied = copyLedger(eventsDb, join(into, 'events.sqlite'));
  if (!copied.ok) return copied;
  const kb = await openKb(deps, { rootDir: into, simulated: true });
  if (!kb.ok) return kb;
  const stats = await kb.value.stats();
  await kb.value.close();
  return stats.ok ? ok(into) : stats;
}
