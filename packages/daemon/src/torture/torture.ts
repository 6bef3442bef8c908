/**
 * Crashes a run before and after every change that it makes, and sees whether it still ends as if nothing had happened.
 *
 * The run without a crash comes first: it says where the boundaries are, and what the ending is that all others must have.
 * Where two lives do not come by the same boundaries (a crash changes what follows) only those of the first one count.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Config,
  digestText,
  type Failure,
  fromHex,
  ok,
  type Random,
  type Result,
  seededRandom,
  systemClock,
} from '@runloop/core';
import type { StoredEvent } from '@runloop/kb';
import type { Cells } from '@runloop/runtime';
import type { AgentSource } from '../runs/ports.ts';
import { differenceOf, type Ending, endingOf, judgeRun, judgeStream, judgeWorld } from './judge.ts';
import type { Crash } from './schedule.ts';
import { type Asked, Stage, type StageParts } from './stage.ts';
import type { World } from './world.ts';

export type TortureParts = {
  readonly config: Config;
  readonly agents: AgentSource;
  readonly cells: Cells;
  readonly homeDir: string;
  readonly hidden: readonly string[];
  /** Where scratch directories are made; a fast file system does. */
  readonly scratch: string;
  /** A ledger that each run begins from. */
  readonly ledger?: string;
  readonly seed: string;
  readonly answers?: NonNullable<StageParts['answers']>;
  readonly around?: NonNullable<StageParts['around']>;
  /** Of the crash points, every how many are tried; 1 for all. */
  readonly every?: number;
};

export type TortureFault = { readonly crash: Crash; readonly at: string; readonly broken: readonly string[] };
export type TortureReport = {
  readonly ending: Ending;
  readonly boundaries: number;
  readonly crashes: number;
  readonly deeds: number;
  readonly faults: readonly TortureFault[];
};

const startMs = 1_750_000_000_000;

export async function torture(
  parts: TortureParts,
  asked: Asked,
  progress: (done: number, all: number) => void = () => undefined,
): Promise<Result<TortureReport, Failure>> {
  const first = await playOnce(parts, [asked], []);
  if (!first.ok) return first;
  const plain = first.value;
  if (plain.broken.length > 0) {
    const fault = { crash: { boundary: -1, when: 'before' }, at: 'no crash at all', broken: plain.broken } as const;
    return ok({ ...countsOf(plain), crashes: 0, faults: [fault] });
  }
  const ending = plain.endings[0] ?? { state: '', nodes: {} };
  const faults: TortureFault[] = [];
  const points = plain.boundaries.flatMap(({ label }, boundary) =>
    (['before', 'after'] as const).map((when) => ({ crash: { boundary, when }, at: label })),
  );
  const chosen = points.filter((_, index) => index % (parts.every ?? 1) === 0);
  for (const [done, { crash, at }] of chosen.entries()) {
    const again = await playOnce(parts, [asked], [crash]);
    if (!again.ok) return again;
    const played = again.value;
    const difference = differenceOf(ending, played.endings[0] ?? { state: 'nowhere', nodes: {} });
    const broken = [...played.broken, ...(difference === undefined ? [] : [difference])];
    if (broken.length > 0) faults.push({ crash, at, broken });
    progress(done + 1, chosen.length);
  }
  return ok({ ...countsOf(plain), crashes: chosen.length, faults });
}

function countsOf({ endings, boundaries, world }: Played): Pick<TortureReport, 'ending' | 'boundaries' | 'deeds'> {
  const ending = endings[0] ?? { state: 'nowhere', nodes: {} };
  return { ending, boundaries: boundaries.length, deeds: world.deeds.size };
}

export type Played = {
  readonly endings: readonly Ending[];
  readonly broken: readonly string[];
  readonly boundaries: Stage['schedule']['boundaries'];
  readonly lives: number;
  readonly world: World;
  readonly rows: readonly (readonly StoredEvent[])[];
};

/** One play in a directory of its own, and what must hold of it. */
export async function playOnce(
  parts: TortureParts & Pick<StageParts, 'faults'>,
  asked: readonly Asked[],
  crashes: readonly Crash[],
): Promise<Result<Played, Failure>> {
  mkdirSync(parts.scratch, { recursive: true });
  const dir = mkdtempSync(join(parts.scratch, 'life-'));
  try {
    if (parts.ledger !== undefined) cpSync(parts.ledger, dir, { recursive: true });
    const random: Random = seededRandom(fromHex(digestText(parts.seed)));
    const { config, agents, cells, homeDir, hidden, answers, around, faults } = parts;
    const stage = new Stage({
      dir,
      config,
      agents,
      cells,
      realClock: systemClock,
      random,
      startMs,
      homeDir,
      hidden,
      ...(answers === undefined ? {} : { answers }),
      ...(around === undefined ? {} : { around }),
      ...(faults === undefined ? {} : { faults }),
    });
    const how = await stage.play(asked, crashes);
    if (!how.ok) return how;
    const { rows } = stage;
    const broken = [
      ...(how.value === 'stuck' ? ['nothing can happen any more, and the run has not finished'] : []),
      ...rows.flatMap((run) => judgeRun(run)),
      ...stage.heard.flatMap((heard) =>
        rows.flatMap((run, i) =>
          judgeStream(
            heard.filter((event) => event.trace_id === asked[i]?.traceId),
            run,
          ),
        ),
      ),
      ...judgeWorld(stage.world, rows.flat()),
    ];
    const { boundaries, lives } = stage.schedule;
    return ok({ endings: rows.map(endingOf), broken, boundaries, lives, world: stage.world, rows });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
