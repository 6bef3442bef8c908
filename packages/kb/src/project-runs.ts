/**
 * Runs, nodes, effects, approvals, costs, audit and artifacts: what happened.
 */
import type Database from 'better-sqlite3';
import type { Blake3 } from './blake3.ts';
import { type Projected, type Projection, integer, json, real, shown, text } from './projection.ts';
import { historyOf } from './project-knowledge.ts';
import { createSearchDocs } from './search-docs.ts';

const runStates: { readonly [kind: string]: string } = {
  'run.started': 'running',
  'run.waiting': 'waiting',
  'run.paused': 'paused',
  'run.resumed': 'running',
  'run.recovered': 'running',
};

export function projectRuns(db: Database.Database, blake3: Blake3): Projection {
  const docs = createSearchDocs(db, blake3);
  const history = historyOf(db);
  const accept = db.prepare(
    `INSERT OR IGNORE INTO runs VALUES (?, ?, ?, ?, 'accepted', ?, ?, ?, ?, ?, ?, NULL, ?, NULL, NULL, NULL, NULL, NULL, ?, ?, NULL)`,
  );
  const move =
    db.prepare(`UPDATE runs SET state = ?, reason = ?, started_ms = CASE WHEN ? = 'run.started' THEN coalesce(started_ms, ?) ELSE started_ms END, source_event = ?
    WHERE trace_id = ? AND state NOT IN ('succeeded', 'failed', 'cancelled')`);
  const finish = db.prepare(
    'UPDATE runs SET state = ?, reason = ?, finished_ms = ?, duration_ms = ?, tokens = ?, usd_nano = ?, source_event = ? WHERE trace_id = ?',
  );
  const forget = db.prepare(
    `DELETE FROM overruns WHERE trace_id = ? AND (key LIKE 'run:%' OR key LIKE 'group:%' OR key LIKE 'node:%' OR key LIKE 'agent:%')`,
  );
  const moved = ({ id, ts_ms, kind, trace, meta }: Projected): void => {
    if (trace === null) return;
    move.run(runStates[kind], text(meta, 'reason'), kind, ts_ms, id, trace);
    history(`run:${trace}`, id);
  };
  return {
    'run.accepted': (event) => {
      const { id, ts_ms, trace, payload, meta } = event;
      if (trace === null) return;
      const name = text(meta, 'name');
      const actor = text(meta, 'actor') ?? event.actor;
      accept.run(
        trace,
        text(payload, 'run_id'),
        text(payload, 'opening_id'),
        name,
        actor,
        shown(meta, 'priority'),
        shown(meta, 'seed'),
        shown(meta, 'engine'),
        json(meta, 'params'),
        json(meta, 'agents'),
        ts_ms,
        id,
        id,
      );
      docs.put({ ...event, actor }, `run:${trace}`, 'run', [name, json(meta, 'params')]);
      history(`run:${trace}`, id);
    },
    ...Object.fromEntries(Object.keys(runStates).map((kind) => [kind, moved])),
    'run.finished': ({ id, ts_ms, trace, meta }) => {
      if (trace === null) return;
      finish.run(
        text(meta, 'state') ?? 'failed',
        text(meta, 'reason'),
        ts_ms,
        integer(meta, 'duration_ms'),
        integer(meta, 'tokens'),
        integer(meta, 'usd_nano'),
        id,
        trace,
      );
      forget.run(trace);
      history(`run:${trace}`, id);
    },
  };
}

export function projectNodes(db: Database.Database): Projection {
  const history = historyOf(db);
  const ready = db.prepare(`INSERT INTO nodes(trace_id, node, attempt, state, source_event) VALUES (?, ?, 0, 'ready', ?)
    ON CONFLICT DO UPDATE SET state = 'ready', source_event = excluded.source_event`);
  const start =
    db.prepare(`INSERT INTO nodes(trace_id, node, attempt, agent, state, inputs, started_ms, source_event) VALUES (?, ?, ?, ?, 'running', ?, ?, ?)
    ON CONFLICT DO UPDATE SET attempt = excluded.attempt, agent = excluded.agent, state = 'running', inputs = excluded.inputs, waits_for = NULL, action = NULL,
      started_ms = coalesce(started_ms, excluded.started_ms), source_event = excluded.source_event`);
  const wait =
    db.prepare(`INSERT INTO nodes(trace_id, node, attempt, state, reason, waits_for, action, source_event) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET attempt = excluded.attempt, state = excluded.state, reason = excluded.reason, waits_for = excluded.waits_for, action = excluded.action, source_event = excluded.source_event`);
  const finish =
    db.prepare(`INSERT INTO nodes(trace_id, node, attempt, state, code, reason, outputs_json, finished_ms, duration_ms, fuel, memory_bytes, source_event) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET attempt = coalesce(excluded.attempt, attempt), state = excluded.state, code = excluded.code, reason = excluded.reason, outputs_json = excluded.outputs_json, waits_for = NULL, action = NULL,
      finished_ms = excluded.finished_ms, duration_ms = excluded.duration_ms, fuel = excluded.fuel, memory_bytes = excluded.memory_bytes, source_event = excluded.source_event`);
  const at =
    (act: (event: Projected, trace: string, node: string) => void) =>
    (event: Projected): void => {
      const node = text(event.meta, 'node');
      if (event.trace === null || node === null) return;
      act(event, event.trace, node);
      history(`node:${event.trace}/${node}`, event.id);
    };
  return {
    'node.ready': at(({ id }, trace, node) => void ready.run(trace, node, id)),
    'node.started': at(
      ({ id, ts_ms, meta }, trace, node) =>
        void start.run(trace, node, integer(meta, 'attempt'), text(meta, 'agent'), shown(meta, 'inputs'), ts_ms, id),
    ),
    'node.retrying': at(
      ({ id, meta }, trace, node) =>
        void wait.run(trace, node, integer(meta, 'attempt'), 'retrying', text(meta, 'reason'), null, null, id),
    ),
    'node.waiting': at(
      ({ id, meta }, trace, node) =>
        void wait.run(
          trace,
          node,
          integer(meta, 'attempt'),
          'waiting',
          text(meta, 'reason'),
          text(meta, 'for'),
          text(meta, 'action'),
          id,
        ),
    ),
    'node.finished': at(
      ({ id, ts_ms, meta }, trace, node) =>
        void finish.run(
          trace,
          node,
          integer(meta, 'attempt'),
          text(meta, 'state') ?? 'failed',
          text(meta, 'code'),
          text(meta, 'reason'),
          json(meta, 'outputs'),
          ts_ms,
          integer(meta, 'duration_ms'),
          integer(meta, 'fuel'),
          integer(meta, 'memory_bytes'),
          id,
        ),
    ),
  };
}

export function projectEffects(db: Database.Database): Projection {
  const intent = db.prepare(`INSERT INTO effects VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'intent', NULL, NULL, ?, ?)
    ON CONFLICT DO UPDATE SET call = excluded.call, op = excluded.op, class = excluded.class, args_hash = excluded.args_hash, state = 'intent', intent_event = excluded.intent_event, source_event = excluded.source_event`);
  const result = db.prepare(`INSERT INTO effects VALUES (?, ?, ?, ?, ?, ?, NULL, NULL, ?, ?, ?, NULL, ?)
    ON CONFLICT DO UPDATE SET state = excluded.state, error_json = excluded.error_json, cost_json = excluded.cost_json, source_event = excluded.source_event`);
  return {
    'effect.intent': ({ id, trace, meta }) => {
      intent.run(
        trace ?? '',
        text(meta, 'node') ?? '',
        integer(meta, 'attempt') ?? 0,
        integer(meta, 'index') ?? 0,
        text(meta, 'call'),
        text(meta, 'op'),
        text(meta, 'class'),
        text(meta, 'args_hash'),
        id,
        id,
      );
    },
    'effect.result': ({ id, trace, meta }) => {
      const state = meta['error'] === undefined ? 'done' : 'failed';
      result.run(
        trace ?? '',
        text(meta, 'node') ?? '',
        integer(meta, 'attempt') ?? 0,
        integer(meta, 'index') ?? 0,
        text(meta, 'call'),
        text(meta, 'op'),
        state,
        json(meta, 'error'),
        json(meta, 'cost'),
        id,
      );
    },
  };
}

/** What a request says beside its arguments: what they refer to, and where the data comes from. */
const aboutKeys = ['target', 'referents', 'flow', 'leak', 'call', 'replaces'];

export function projectApprovals(db: Database.Database): Projection {
  const history = historyOf(db);
  const ask = db.prepare(
    `INSERT OR IGNORE INTO approvals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending', NULL, ?, NULL, ?)`,
  );
  const decide = db.prepare(
    `UPDATE approvals SET state = ?, decided_by = ?, decided_ms = ?, source_event = ? WHERE action = ? AND state = 'pending'`,
  );
  const states: { readonly [decision: string]: string } = {
    approve: 'approved',
    deny: 'denied',
    done: 'done',
    edited: 'edited',
    expired: 'expired',
  };
  return {
    'action.requested': ({ id, ts_ms, trace, meta }) => {
      const action = text(meta, 'action');
      if (action === null) return;
      ask.run(
        action,
        trace,
        text(meta, 'node'),
        text(meta, 'agent'),
        text(meta, 'op'),
        text(meta, 'hash'),
        shown(meta, 'what'),
        json(meta, 'args'),
        JSON.stringify(Object.fromEntries(aboutKeys.flatMap((key) => (key in meta ? [[key, meta[key]]] : [])))),
        integer(meta, 'expires_ms'),
        ts_ms,
        id,
      );
      history(`action:${action}`, id);
    },
    'action.decided': ({ id, ts_ms, meta }) => {
      const action = text(meta, 'action');
      if (action === null) return;
      decide.run(states[text(meta, 'decision') ?? ''] ?? 'denied', text(meta, 'by'), ts_ms, id, action);
      history(`action:${action}`, id);
    },
  };
}

export function projectRecords(db: Database.Database, blake3: Blake3): Projection {
  const docs = createSearchDocs(db, blake3);
  const history = historyOf(db);
  const cost = db.prepare('INSERT INTO costs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)');
  const audit = db.prepare('INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)');
  const artifact = db.prepare('INSERT OR REPLACE INTO artifacts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)');
  const freeze = db.prepare('INSERT OR REPLACE INTO overruns VALUES (?, ?, ?, ?, ?, ?)');
  const thaw = db.prepare('DELETE FROM overruns WHERE key = ?');
  const thawed: Projection[string] = ({ meta }) => void thaw.run(text(meta, 'key'));
  const overrun: Projection[string] = ({ id, ts_ms, trace, meta }) => {
    const keys = Array.isArray(meta['frozen']) ? meta['frozen'] : [];
    for (const key of keys.filter((one) => typeof one === 'string'))
      freeze.run(key, trace, text(meta, 'provider'), text(meta, 'model'), ts_ms, id);
  };
  // A call that was answered, and one that was not and is booked at its bound.
  const spent: Projection[string] = ({ id, ts_ms, trace, kind, meta }) => {
    cost.run(
      id,
      ts_ms,
      trace,
      text(meta, 'node'),
      text(meta, 'agent'),
      kind === 'model.called' || kind === 'model.tested' ? 1 : 0,
      text(meta, 'provider'),
      text(meta, 'model'),
      integer(meta, 'tokens_in'),
      integer(meta, 'tokens_out'),
      integer(meta, 'usd_nano'),
      text(meta, 'cache'),
      real(meta, 'latency_ms'),
    );
  };
  return {
    'model.called': spent,
    'budget.settled': spent,
    'model.tested': spent,
    'model.test_unanswered': spent,
    'budget.overrun': overrun,
    'model.test_overrun': overrun,
    'budget.raised': thawed,
    'budget.thawed': thawed,
    'cap.audit': ({ id, ts_ms, trace, meta }) => {
      audit.run(
        id,
        ts_ms,
        trace,
        text(meta, 'agent'),
        text(meta, 'cap'),
        text(meta, 'op'),
        shown(meta, 'target'),
        text(meta, 'args_hash'),
        text(meta, 'decision'),
        text(meta, 'reason'),
      );
    },
    'artifact.created': (event) => {
      const { id, ts_ms, trace, payload, meta } = event;
      const digest = text(meta, 'digest');
      if (digest === null) return;
      const type = text(meta, 'type');
      artifact.run(
        digest,
        trace ?? '',
        text(meta, 'node') ?? '',
        text(meta, 'port') ?? '',
        type,
        text(payload, 'run_id'),
        integer(meta, 'bytes'),
        ts_ms,
        id,
      );
      docs.put(event, `artifact:${digest}`, 'artifact', [digest, type, text(meta, 'node'), text(meta, 'port')]);
      history(`artifact:${digest}`, id);
    },
  };
}
