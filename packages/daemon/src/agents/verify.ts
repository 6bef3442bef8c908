/**
 * Proves what an agent's capabilities say: the probe runs in its place, and what is observed is compared with what each
 * line promises.
 *
 * 1. A real cell, confined as the agent's own, and the real kernel; each probe has an attempt of its own.
 * 2. Whatever asks is answered no. What is let through is not performed, but for looks at files and the clock.
 */
import { type Clock, type JsonObject, ok, type Random, type Result, toHex, type Failure } from '@runloop/core';
import {
  type AttemptOutcome,
  type Bundle,
  type Cells,
  createKernel,
  expandHome,
  type KernelDoor,
  type KernelPorts,
} from '@runloop/runtime';
import type { CallScope, HostPerformer } from '../runs/ports.ts';
import { limitCodes, type Probe, probesOf } from './verify-probes.ts';

export type VerifyDeps = {
  readonly clock: Clock;
  readonly random: Random;
  readonly cells: Cells;
  readonly performer: Pick<HostPerformer, 'leaves' | 'missing' | 'perform'>;
  readonly homeDir: string;
  readonly stateDir: string;
};

export type VerifiedRow = {
  readonly line: string;
  readonly probe: string;
  readonly expected: string;
  readonly observed: string;
  readonly ok: boolean;
  /** What the agent was told. */
  readonly said?: string;
};

/** A probe that takes longer has hung; each has limits of its own. */
const probeMsMax = 20_000;

export async function verifyAgent(
  deps: VerifyDeps,
  agent: Bundle,
  probe: Bundle,
  signal: AbortSignal,
): Promise<Result<readonly VerifiedRow[], Failure>> {
  const caps = expandHome(agent.caps, deps.homeDir);
  const rows: VerifiedRow[] = [];
  for (const one of probesOf(caps, deps.stateDir)) {
    if (signal.aborted) break;
    const limits = { ...caps.limits, ...one.limits };
    // To wait for the deadline it must be let to compute until then.
    if (one.limits?.wall_ms !== undefined) limits.cpu_ms = Math.max(limits.cpu_ms, 60_000);
    const asked = { ...agent, caps: { ...caps, limits } };
    const { observed, said } = await observe(deps, asked, probe, one, signal);
    rows.push({
      line: one.line,
      probe: one.what,
      expected: one.expected.join(' or '),
      observed,
      ok: one.expected.includes(observed),
      ...(said === undefined ? {} : { said }),
    });
  }
  return ok(rows);
}

async function observe(
  deps: VerifyDeps,
  agent: Bundle,
  probe: Bundle,
  one: Probe,
  signal: AbortSignal,
): Promise<{ readonly observed: string; readonly said?: string }> {
  const { caps, trusted } = agent;
  const seen = new Set<string>();
  const door = openDoor(deps, agent, seen);
  const deadline_ms = Math.min(caps.limits.wall_ms, probeMsMax);
  const run = {
    trace_id: toHex(deps.random.bytes(16)),
    run_id: 'verify',
    node: 'probe',
    attempt: 1,
    seed: '00'.repeat(32),
    accepted_ms: deps.clock.nowMs(),
    deadline_ms,
  };
  const request = { with: { tries: one.tries }, inputs: {} };
  const bundle = { ...probe, trusted, caps };
  const limits = { ...caps.limits, wall_ms: deadline_ms };
  return readOutcome(await deps.cells.run({ bundle, run, request, limits }, door, signal), seen);
}

const performed: readonly string[] = ['fs.stat', 'fs.list', 'clock.now'];

function openDoor({ performer }: VerifyDeps, agent: Bundle, seen: Set<string>): KernelDoor {
  const perform: KernelPorts['perform'] = async (op, args, ctx, signal) => {
    seen.add(performed.includes(op) ? 'works' : 'granted');
    if (!performed.includes(op)) return { ok: true, value: {} };
    return (await performer.perform(op, args, scopeOf(agent, ctx.call), signal))?.result;
  };
  const nothing = (): Promise<void> => Promise.resolve();
  const kernel = createKernel({
    journal: { intent: nothing, result: nothing, note: () => undefined },
    approvals: {
      ask() {
        seen.add('asked');
        return Promise.resolve('denied');
      },
    },
    missing: (op, args, ctx) => performer.missing?.(op, args, scopeOf(agent, ctx.call)),
    leaves: (op, args, ctx) => performer.leaves(op, args, ctx.caps),
    cleared: () => true,
    perform,
    audit: () => undefined,
    line: () => undefined,
  });
  const { name, caps } = agent;
  const place = { agent: name, run_id: 'verify', trace_id: '', node: 'probe', attempt: 1 };
  return kernel.open({ ...place, caps, tape: [], mode: 'live' });
}

function scopeOf(bundle: Bundle, callId: string): CallScope {
  const { caps } = bundle;
  return {
    traceId: '',
    runId: 'verify',
    opening: 'verify',
    node: 'probe',
    attempt: 1,
    bundle,
    caps,
    actor: 'operator',
    callId,
    label: { trust: 'trusted', secrecy: 'public', sources: [] },
    approved: false,
    repeated: false,
    evidence: [],
    budgets: {},
  };
}

const limitsReached: ReadonlySet<string> = new Set(Object.values(limitCodes));

function readOutcome(
  outcome: AttemptOutcome,
  seen: ReadonlySet<string>,
): { readonly observed: string; readonly said?: string } {
  if (outcome.type === 'failed') return { observed: outcome.code, said: outcome.reason };
  if (outcome.type !== 'succeeded') return { observed: outcome.type };
  const [list] = outcome.outputs['out'] ?? [];
  const answer = (Array.isArray(list?.value) ? list.value.at(-1) : undefined) as JsonObject | undefined;
  const { code, message } = answer ?? {};
  const said = typeof message === 'string' ? { said: message } : {};
  if (typeof code === 'string' && limitsReached.has(code)) return { observed: code, ...said };
  if (code === 'CapabilityDenied') return { observed: 'refused', ...said };
  if (seen.has('asked')) return { observed: 'asked', ...said };
  if (typeof code === 'string') return { observed: code, ...said };
  return { observed: seen.has('works') ? 'works' : seen.has('granted') ? 'granted' : 'no limit' };
}
