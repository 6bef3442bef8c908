/**
 * rlp kb: keeping the ledger sound, and forgetting.
 */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { failure, isJsonObject, parseJson, showJson, showLine, systemClock } from '@runloop/core';
import { canAsk } from '../ask-approval.ts';
import { type Arguments, type Command, flag, text, type Tools } from '../command.ts';
import { longCall } from '../long-call.ts';
import { sinceOf } from '../parse-time.ts';
import { bytes, duration, counted } from '../screen.ts';

export const commands: readonly Command[] = [
  {
    usage: 'kb verify',
    about: 'check every row, the chain and the signed heads of the ledger',
    options: {
      head: { type: 'string', about: 'a head that `rlp kb seal` printed: JSON, @file or - for standard input' },
    },
    examples: [
      ['rlp kb verify', 'names the first bad row'],
      ['rlp kb verify --head @head.json', 'also finds a ledger that was cut short or rewritten as a whole'],
    ],
    run: verify,
  },
  {
    usage: 'kb seal',
    about: 'sign what the ledger is now; keep what is printed somewhere else',
    examples: [['rlp kb seal > /media/usb/head.json', 'later: rlp kb verify --head @/media/usb/head.json']],
    run: async (_, tools) => {
      const done = await longCall(tools, 'kb.seal', {});
      if (!done.ok) return tools.fail(done.error);
      tools.screen.line(showJson(JSON.stringify(done.value)));
      return 0;
    },
  },
  {
    usage: 'kb rebuild',
    about: 'drop every view, replay the ledger, compare',
    examples: [['rlp kb rebuild', 'the hashes must be equal']],
    run: rebuild,
  },
  {
    usage: 'kb stats',
    about: 'how much there is, and what it takes on disk',
    examples: [['rlp kb stats', 'events, rows of each view, bytes of each file']],
    run: stats,
  },
  {
    usage: 'kb vacuum',
    about: 'rewrite both databases without what was deleted',
    examples: [['rlp kb vacuum', 'needs as much free space as the ledger has']],
    run: async (_, tools) => {
      const done = await longCall(tools, 'kb.vacuum', {});
      if (!done.ok) return tools.fail(done.error);
      const { before, after } = done.value as { before: number; after: number };
      if (tools.json) tools.screen.json(done.value);
      else tools.screen.line(`${bytes(before)} before, ${bytes(after)} now`);
      return 0;
    },
  },
  {
    usage: 'kb archive',
    about: 'pack away the values of old runs, out of the file of the ledger; they are read as before',
    options: { older: { type: 'string', about: 'runs that ended so long ago', default: '90d' } },
    examples: [['rlp kb archive --older 30d', 'into archive.sqlite, packed']],
    run: archive,
  },
  {
    usage: 'kb forget <entity>',
    about: 'erase what is known of somebody, wherever it stands; it cannot be undone',
    options: {
      'dry-run': { type: 'boolean', about: 'only show what would go' },
      yes: { type: 'boolean', about: 'do not ask' },
    },
    examples: [
      ['rlp kb forget contact:john --dry-run', 'what would go, and what would stay'],
      ['rlp kb forget contact:john', 'asks, then erases; the chain of the ledger stays valid'],
      ['rlp kb forget run:<trace>', 'what one run was asked, read and answered'],
    ],
    run: forget,
  },
];

type Verified = {
  readonly events: number;
  readonly heads: number;
  readonly foreign_heads: number;
  readonly misfit?: { readonly id: number; readonly why: string };
  readonly first_bad?: { readonly id: number; readonly why: string };
  readonly bad_blob?: { readonly digest: string };
  readonly bad_head?: { readonly id: number; readonly why: string };
};

async function verify(args: Arguments, tools: Tools): Promise<number> {
  const given = text(args, 'head');
  let head = {};
  if (given !== undefined) {
    try {
      const source =
        given === '-' ? readFileSync(0, 'utf8') : given.startsWith('@') ? readFileSync(given.slice(1), 'utf8') : given;
      const parsed = parseJson(source);
      if (!parsed.ok || !isJsonObject(parsed.value))
        return tools.fail(
          failure('InvalidParams', '--head is no signed head', { hint: 'give what `rlp kb seal` printed' }),
        );
      head = parsed.value;
    } catch {
      return tools.fail(failure('NotFound', `there is no file ${given.slice(1)}`));
    }
  }
  const done = await longCall(tools, 'kb.verify', { head });
  if (!done.ok) return tools.fail(done.error);
  const verified = done.value as unknown as Verified;
  const { events, heads, foreign_heads: foreign, misfit, first_bad: row, bad_blob: blob, bad_head: bad } = verified;
  const what =
    row !== undefined
      ? `row ${row.id}: ${row.why}`
      : blob !== undefined
        ? `blob ${blob.digest} does not hold what its name says`
        : bad !== undefined
          ? `the signed head at row ${bad.id}: ${bad.why}`
          : undefined;
  if (what !== undefined)
    return tools.fail(
      failure('StorageCorrupt', `the ledger was changed: ${what}`, {
        hint: 'put a backup in its place: rlp kb restore <folder>',
      }),
    );
  if (misfit !== undefined)
    tools.screen.note(showLine(`row ${misfit.id} has not the shape of its kind: ${misfit.why}`));
  if (foreign > 0)
    tools.screen.note(
      `of another host's key, from before the ledger was restored here: ${counted(foreign, 'signed head')}`,
    );
  if (tools.json) tools.screen.json(done.value);
  else
    tools.screen.line(`the ledger holds: ${counted(events, 'event')}, chain intact, ${counted(heads, 'signed head')}`);
  return 0;
}

async function rebuild(_args: Arguments, tools: Tools): Promise<number> {
  const done = await longCall(tools, 'kb.rebuild', {});
  if (!done.ok) return tools.fail(done.error);
  const { events, duration_ms: took, equal } = done.value as { events: number; duration_ms: number; equal: boolean };
  if (tools.json) tools.screen.json(done.value);
  else
    tools.screen.line(
      `${counted(events, 'event')} replayed in ${duration(took)} (${Math.round((events / Math.max(1, took)) * 1000)}/s); the views are ${equal ? 'equal' : 'NOT equal'}`,
    );
  return equal ? 0 : 1;
}

async function stats(_args: Arguments, tools: Tools): Promise<number> {
  const done = await longCall(tools, 'kb.stats', {});
  if (!done.ok) return tools.fail(done.error);
  const { screen } = tools;
  if (tools.json) {
    screen.json(done.value);
    return 0;
  }
  const value = done.value as unknown as {
    events: number;
    watermark: number;
    blob_files: number;
    bytes: { [file: string]: number };
    rows: { [view: string]: number };
  };
  screen.line(
    `${counted(value.events, 'event')}, ${value.watermark} in the views, ${counted(value.blob_files, 'blob')} as files`,
  );
  screen.table(
    ['on disk', ''],
    Object.entries(value.bytes).map(([file, size]) => [file, bytes(size)]),
  );
  const rows = Object.entries(value.rows).filter(([, count]) => count > 0);
  if (rows.length === 0) return 0;
  screen.line();
  screen.table(
    ['view', 'rows'],
    rows.map(([view, count]) => [view, String(count)]),
  );
  return 0;
}

async function archive(args: Arguments, tools: Tools): Promise<number> {
  const before = sinceOf(text(args, 'older'), systemClock.nowMs(), '--older');
  if (!before.ok) return tools.fail(before.error);
  const done = await longCall(tools, 'kb.archive', { before_ms: before.value });
  if (!done.ok) return tools.fail(done.error);
  const {
    runs,
    blobs,
    bytes: size,
    packed,
  } = done.value as { runs: number; blobs: number; bytes: number; packed: number };
  if (tools.json) tools.screen.json(done.value);
  else
    tools.screen.line(
      `${counted(blobs, 'value')} of ${counted(runs, 'run')} packed away: ${bytes(size)} in ${bytes(packed)}`,
    );
  return 0;
}

type Plan = {
  readonly entity: string;
  readonly values: readonly string[];
  readonly common: readonly string[];
  readonly events: readonly number[];
  readonly others: readonly number[];
  readonly blobs: readonly string[];
  readonly files: readonly string[];
  readonly archived: readonly string[];
  readonly runs: readonly { readonly trace_id: string; readonly name?: string }[];
  readonly derived: readonly number[];
  readonly fixed: readonly number[];
  readonly backups: readonly string[];
};

async function forget(args: Arguments, tools: Tools): Promise<number> {
  const entity = text(args, 'entity') ?? '';
  const planned = await longCall(tools, 'kb.forget', { entity, plan: true });
  if (!planned.ok) return tools.fail(planned.error);
  const plan = planned.value as unknown as Plan;
  if (flag(args, 'dry-run')) {
    if (tools.json) tools.screen.json(plan);
    else showPlan(plan, tools, 'would go');
    return 0;
  }
  if (!flag(args, 'yes')) {
    if (!canAsk(tools.environment))
      return tools.fail(
        failure('ApprovalRequired', `${entity} is not forgotten without a yes`, {
          hint: 'look first: --dry-run; then: --yes',
        }),
      );
    showPlan(plan, tools, 'will go');
    if (!(await isSure(tools))) {
      tools.screen.note('nothing was changed');
      return 1;
    }
  }
  const done = await longCall(tools, 'kb.forget', { entity });
  if (!done.ok) return tools.fail(done.error);
  if (tools.json) tools.screen.json(done.value);
  else showPlan(done.value as unknown as Plan, tools, 'are gone');
  return 0;
}

async function isSure({ environment }: Tools): Promise<boolean> {
  const asking = createInterface({ input: environment.streams.in, output: environment.streams.err });
  try {
    return (await asking.question('this cannot be undone; type forget to go on: ')).trim() === 'forget';
  } finally {
    asking.close();
  }
}

function showPlan(
  { values, common, events, blobs, files, archived, runs, ...more }: Plan,
  { screen }: Tools,
  verb: string,
): void {
  screen.line(
    `${counted(events.length, 'event')} and ${counted(blobs.length + files.length + archived.length, 'blob')} ${verb}`,
  );
  if (more.others.length > 0)
    screen.line(
      `  ${more.others.length} of them about others, for a value stands in them: ${more.others
        .slice(0, 10)
        .map((id) => `event:${id}`)
        .join(' ')}${more.others.length > 10 ? ' …' : ''}`,
    );
  for (const value of values) screen.line(`  wherever it stands: ${showLine(value).slice(0, screen.width - 22)}`);
  for (const value of common) screen.line(`  too common to look for: ${showLine(value).slice(0, screen.width - 26)}`);
  if (runs.length > 0)
    screen.line(
      runs.length === 1
        ? '1 run has read it; it can no longer be replayed'
        : `${runs.length} runs have read it; they can no longer be replayed`,
    );
  for (const run of runs.slice(0, 10)) screen.line(`  ${run.trace_id}  ${showLine(run.name ?? '')}`);
  if (runs.length > 10) screen.line(`  and ${runs.length - 10} more`);
  if (more.derived.length > 0)
    screen.line(
      `these rest on it and stay: ${more.derived
        .slice(0, 10)
        .map((id) => `event:${id}`)
        .join(' ')}`,
    );
  if (more.fixed.length > 0)
    screen.line(
      `in these a value stands where it cannot be erased: ${more.fixed
        .slice(0, 10)
        .map((id) => `event:${id}`)
        .join(' ')}`,
    );
  for (const path of more.backups) screen.line(`a backup that still holds it: ${showLine(path)}`);
}
