/**
 * rlp graph, rlp opening graph: an opening as a drawing, with the nodes of its nested openings.
 */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { errorTable, failure } from '@runloop/core';
import { draw, type DrawingFormat, drawingFormats, type Plan } from '@runloop/openings';
import { type Arguments, type Command, text, type Tools } from '../command.ts';
import { showDiagnostics } from '../show-diagnostics.ts';
import { readParams, readSource } from './run.ts';

const drawing = (words: string): Command => ({
  usage: `${words} <opening>`,
  about: 'draw an opening: its nodes, and what goes where under which condition',
  options: {
    format: { type: 'string', about: 'what to draw for', choices: drawingFormats, default: 'text' },
    output: { type: 'string', alias: 'o', about: 'into this file; its ending tells the format' },
    params: { type: 'string', about: 'parameters as JSON, or @file' },
    p: { type: 'array', about: 'one parameter, name=value' },
  },
  examples: [
    [`rlp ${words} compose_email`, 'for the terminal'],
    [`rlp ${words} compose_email -o compose_email.svg`, 'a picture'],
  ],
  run: drawOpening,
});

export const commands: readonly Command[] = [drawing('graph'), drawing('opening graph')];

const endings: { readonly [ending: string]: DrawingFormat } = { svg: 'svg', dot: 'dot', gv: 'dot', mmd: 'mermaid' };

async function drawOpening(args: Arguments, tools: Tools): Promise<number> {
  const params = readParams(args);
  if (!params.ok) return tools.fail(params.error);
  const source = readSource(text(args, 'opening') ?? '', tools.environment.cwd);
  if (!source.ok) return tools.fail(source.error);
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const request = { ...source.value, params: params.value };
  const planned = await client.value.call('run.plan', request, { timeoutMs: 120_000 });
  if (!planned.ok)
    return showDiagnostics(planned.error, tools) ? errorTable[planned.error.code].exit : tools.fail(planned.error);
  const plan = planned.value as unknown as Plan;
  const file = text(args, 'output');
  const given = text(args, 'format') as DrawingFormat;
  const format = file !== undefined && given === 'text' ? (endings[file.split('.').at(-1) ?? ''] ?? given) : given;
  if (tools.json && file === undefined) {
    tools.screen.json({ nodes: plan.nodes, edges: plan.edges });
    return 0;
  }
  const drawn = draw(plan, format, tools.screen.width);
  if (file === undefined) {
    tools.environment.streams.out.write(drawn);
    return 0;
  }
  try {
    writeFileSync(resolve(tools.environment.cwd, file), drawn);
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? String(error);
    return tools.fail(failure('Usage', `${file} cannot be written: ${why}`));
  }
  if (tools.json) tools.screen.json({ file, format });
  return 0;
}
