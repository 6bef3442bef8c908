/**
 * rlp artifacts: what runs have made.
 */
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { failure, parseTraceId } from '@runloop/core';
import { type Arguments, type Command, text, type Tools } from '../command.ts';
import { printArtifact } from '../print-artifact.ts';
import { time } from '../screen.ts';

type Row = { digest: string; trace_id: string; node: string; type: string; bytes: number; ts_ms: number };

const listing = {
  about: 'what runs have made, the newest first',
  options: { trace: { type: 'string', about: 'only of this run' } },
  examples: [['rlp artifacts', 'then: rlp artifacts cat <digest>']],
  run: list,
} as const;

export const commands: readonly Command[] = [
  { usage: 'artifacts', ...listing },
  { usage: 'artifacts list', ...listing },
  {
    usage: 'artifacts cat <digest>',
    about: 'print an artifact; the beginning of its digest is enough',
    options: { raw: { type: 'boolean', about: 'its bytes as they are' } },
    examples: [
      ['rlp artifacts cat 3fa9', 'readable, escaped'],
      ['rlp artifacts cat 3fa9 --raw', 'the JSON itself'],
    ],
    run: cat,
  },
  {
    usage: 'artifacts save <digest> <file>',
    about: 'write an artifact to a file',
    examples: [['rlp artifacts save 3fa9 draft.json', '']],
    run: save,
  },
];

async function rows(args: Arguments, tools: Tools): Promise<readonly Row[] | number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const trace = text(args, 'trace');
  const traceId = trace === undefined ? undefined : parseTraceId(trace);
  if (traceId?.ok === false)
    return tools.fail(failure('Usage', `"${trace}" is no trace id`, { hint: 'see: rlp runs' }));
  const found = await client.value.call('kb.artifacts', {
    max: 1000,
    ...(traceId === undefined ? {} : { trace_id: traceId.value }),
  });
  return found.ok ? (found.value as unknown as { artifacts: readonly Row[] }).artifacts : tools.fail(found.error);
}

async function list(args: Arguments, tools: Tools): Promise<number> {
  const found = await rows(args, tools);
  if (typeof found === 'number') return found;
  if (tools.json) tools.screen.json(found);
  else if (found.length === 0)
    tools.screen.note('no artifacts yet; an opening keeps what it names under artifacts.save');
  else
    tools.screen.table(
      ['digest', 'type', 'node', 'bytes', 'made'],
      found.map((row) => [row.digest.slice(0, 12), row.type, row.node, String(row.bytes), time(row.ts_ms)]),
    );
  return 0;
}

async function load(args: Arguments, tools: Tools): Promise<{ row: Row; bytes: Buffer } | number> {
  const found = await rows(args, tools);
  if (typeof found === 'number') return found;
  const prefix = text(args, 'digest') ?? '';
  const matching = found.filter((row) => row.digest.startsWith(prefix));
  const [row] = matching;
  if (row === undefined || prefix === '')
    return tools.fail(failure('NotFound', `there is no artifact ${prefix}`, { hint: 'see: rlp artifacts' }));
  if (new Set(matching.map((one) => one.digest)).size > 1)
    return tools.fail(failure('Usage', `${prefix} begins more than one digest`));
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const blob = await client.value.call('kb.blob', { digest: row.digest });
  if (!blob.ok) return tools.fail(blob.error);
  return { row, bytes: Buffer.from((blob.value as unknown as { base64: string }).base64, 'base64') };
}

async function cat(args: Arguments, tools: Tools): Promise<number> {
  const found = await load(args, tools);
  if (typeof found === 'number') return found;
  if (args['raw'] === true || tools.json) tools.environment.streams.out.write(found.bytes);
  else printArtifact(tools.screen, { ...found.row, bytes: found.bytes });
  return 0;
}

async function save(args: Arguments, tools: Tools): Promise<number> {
  const found = await load(args, tools);
  if (typeof found === 'number') return found;
  const path = resolve(tools.environment.cwd, text(args, 'file') ?? '');
  try {
    await writeFile(path, found.bytes);
  } catch (error) {
    return tools.fail(
      failure('StorageFailed', `${path} cannot be written: ${(error as NodeJS.ErrnoException).code ?? String(error)}`),
    );
  }
  tools.screen.note(`${found.bytes.length} bytes in ${path}`);
  return 0;
}
