/**
 * What is still told of what was forgotten: that it was, and of runs when they were and what they cost.
 */
import type Database from 'better-sqlite3';
import { isJsonObject } from '@runloop/core';
import { historyOf } from './project-knowledge.ts';
import { type Projection, integer, text } from './projection.ts';

export function projectForgotten(db: Database.Database): Projection {
  const history = historyOf(db);
  const stand = db.prepare(
    `INSERT OR IGNORE INTO runs(trace_id, run_id, opening_id, name, state, actor, priority, accepted_ms, started_ms, finished_ms, duration_ms, tokens, usd_nano, accepted_event, source_event)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const mark = db.prepare('UPDATE runs SET forgotten_event = ?, source_event = ? WHERE trace_id = ?');
  const end = db.prepare(
    `UPDATE nodes SET state = 'forgotten', source_event = ? WHERE trace_id = ? AND state NOT IN ('succeeded', 'failed', 'skipped', 'cancelled')`,
  );
  return {
    'subject.forgotten': ({ id, payload }) => {
      const subject = text(payload, 'subject');
      if (subject !== null) history(forgottenName(subject), id);
      for (const run of Array.isArray(payload['runs']) ? payload['runs'] : []) {
        const trace = isJsonObject(run) ? text(run, 'trace_id') : null;
        if (!isJsonObject(run) || trace === null) continue;
        stand.run(
          trace,
          text(run, 'run_id'),
          text(run, 'opening_id'),
          text(run, 'name'),
          text(run, 'state') ?? 'forgotten',
          text(run, 'actor'),
          text(run, 'priority'),
          integer(run, 'accepted_ms'),
          integer(run, 'started_ms'),
          integer(run, 'finished_ms'),
          integer(run, 'duration_ms'),
          integer(run, 'tokens'),
          integer(run, 'usd_nano'),
          integer(run, 'accepted_event') ?? id,
          id,
        );
        mark.run(id, id, trace);
        end.run(id, trace);
        history(`run:${trace}`, id);
      }
    },
  };
}

/** What was done to the ledger as a whole. */
export function projectUpkeep(db: Database.Database): Projection {
  const history = historyOf(db);
  return {
    'ledger.restored': ({ id }) => history('ledger:restored', id),
    'backup.created': ({ id }) => history('ledger:backups', id),
    'schema.migrated': ({ id }) => history('ledger:migrations', id),
  };
}

/** The entity under which the history of what was forgotten stands; `subject` is the BLAKE3 of its name. */
export function forgottenName(subject: string): string {
  return `forgotten:${subject}`;
}
