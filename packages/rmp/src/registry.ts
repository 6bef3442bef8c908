/**
 * Which `type` each schema id carries.
 *
 * 1. The built-in rows never change; `register` adds to the local and vendor ranges alone.
 * 2. An id that nobody registered is unknown: there is no guessing by family.
 */
import { type Failure, type Result, err, failure, ok } from '@runloop/core';
import { registeredSchemasMax, typeBytesMax } from './limits.ts';

export type SchemaRow = {
  readonly id: number;
  /** The type as a sender of this version writes it. */
  readonly type: string;
  readonly family: string;
  /** Ids 1 to 7 take any kind of their family. */
  readonly anyKind: boolean;
};

export interface Registry {
  row(id: number): SchemaRow | undefined;
  idOf(type: string): number | undefined;
  /** Does `type` name what the registry gives for `id`, in whatever version? */
  takes(row: SchemaRow, type: string): boolean;
  register(id: number, type: string): Result<SchemaRow, Failure>;
  rows(): readonly SchemaRow[];
}

export const families: readonly string[] = [
  'observation',
  'intent',
  'artifact',
  'toolresult',
  'critique',
  'statedelta',
  'error',
];

/** Ids from here on must carry `vendor` and `schema_hash` in their payload. */
export const vendorIdMin = 4096;
const localRange = { min: 128, max: 1023 } as const;
const anyKindMax = 7;

export const builtinSchemas: readonly (readonly [id: number, type: string])[] = [
  [1, 'observation.generic.v1'],
  [2, 'intent.generic.v1'],
  [3, 'intent.tool_call.v1'],
  [4, 'toolresult.generic.v1'],
  [5, 'artifact.generic.v1'],
  [6, 'critique.generic.v1'],
  [7, 'statedelta.generic.v1'],
  [8, 'observation.run.event.v1'],
  [9, 'intent.control.v1'],
  [10, 'error.report.v1'],
  [16, 'intent.bus.subscribe.v1'],
  [17, 'intent.bus.unsubscribe.v1'],
  [18, 'toolresult.bus.ack.v1'],
  [100, 'observation.agent.hello.v1'],
  [101, 'observation.runtime.hello.v1'],
  [102, 'intent.init.v1'],
  [110, 'intent.hostcall.request.v1'],
  [111, 'toolresult.hostcall.response.v1'],
  [200, 'intent.contacts.resolve.v1'],
  [201, 'toolresult.contacts.resolved.v1'],
  [210, 'intent.context.gather.v1'],
  [211, 'observation.context.bundle.v1'],
  [220, 'intent.draft.write.v1'],
  [221, 'artifact.draft.email.v1'],
  [230, 'intent.review.draft.v1'],
  [231, 'critique.review.v1'],
  [240, 'intent.send.mail.v1'],
  [241, 'toolresult.mail.result.v1'],
  [2001, 'intent.ctrl.request.v1'],
  [2002, 'toolresult.ctrl.response.v1'],
  [3001, 'observation.metrics.snapshot.v1'],
  [3002, 'observation.opening.event.v1'],
  [3003, 'observation.trace.line.v1'],
  [3004, 'observation.agent.log.v1'],
  [3005, 'intent.action.request.v1'],
  [3006, 'toolresult.action.decision.v1'],
  [3007, 'error.bus.drop.notice.v1'],
  [4000, 'intent.executor.agent.request.v1'],
  [4001, 'toolresult.executor.agent.response.v1'],
];

/** The ids that code names; the table above says what each carries. */
export const schema = {
  runEvent: 8,
  control: 9,
  errorReport: 10,
  subscribe: 16,
  unsubscribe: 17,
  ack: 18,
  agentHello: 100,
  runtimeHello: 101,
  ctrlRequest: 2001,
  ctrlResponse: 2002,
  metrics: 3001,
  actionRequest: 3005,
  actionDecision: 3006,
  dropNotice: 3007,
} as const;

const typePattern = /^([a-z]+)\.([A-Za-z0-9_]+(?:[.-][A-Za-z0-9_]+)*)\.v([1-9][0-9]*)$/;

export function createRegistry(): Registry {
  const byId = new Map<number, SchemaRow>();
  const idByType = new Map<string, number>();
  const add = (row: SchemaRow): void => {
    byId.set(row.id, row);
    if (!idByType.has(row.type)) idByType.set(row.type, row.id);
  };
  for (const [id, type] of builtinSchemas) add(rowOf(id, type));
  const full = builtinSchemas.length + registeredSchemasMax;
  return {
    row: (id) => byId.get(id),
    idOf: (type) => idByType.get(type),
    takes,
    rows: () => [...byId.values()],
    register(id, type) {
      const problem = refuse(id, type, byId.get(id)) ?? (byId.size >= full ? 'the registry is full' : undefined);
      if (problem !== undefined) return err(failure('InvalidConfig', `schema ${id} (${type}): ${problem}`));
      const row = rowOf(id, type);
      add(row);
      return ok(row);
    },
  };
}

function rowOf(id: number, type: string): SchemaRow {
  return { id, type, family: type.slice(0, type.indexOf('.')), anyKind: id <= anyKindMax };
}

function takes(row: SchemaRow, type: string): boolean {
  if (type === row.type) return true;
  const parts = typePattern.exec(type);
  if (parts === null || parts[1] !== row.family) return false;
  if (row.anyKind) return true;
  return type.slice(0, type.lastIndexOf('.')) === row.type.slice(0, row.type.lastIndexOf('.'));
}

function refuse(id: number, type: string, taken: SchemaRow | undefined): string | undefined {
  const isLocal = id >= localRange.min && id <= localRange.max;
  const isVendor = id >= vendorIdMin && id <= 0xffff;
  if (!Number.isInteger(id) || !(isLocal || isVendor)) {
    return `only ids ${localRange.min} to ${localRange.max} and ${vendorIdMin} to 65535 can be registered`;
  }
  if (taken !== undefined && taken.type !== type) return `the id already stands for ${taken.type}`;
  if (type.length > typeBytesMax) return `a type has at most ${typeBytesMax} characters`;
  const parts = typePattern.exec(type);
  if (parts === null || !families.includes(parts[1] ?? '')) {
    return `a type reads <family>.<kind>.v<N>, the family one of ${families.join(', ')}`;
  }
  return undefined;
}
