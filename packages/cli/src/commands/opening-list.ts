/**
 * rlp opening list: where openings are found, and whether they can be read. Needs no daemon.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openingNameOf, parseOpening, renderDiagnostic } from '@runloop/openings';
import type { Command, Tools } from '../command.ts';

export const commands: readonly Command[] = [
  {
    usage: 'opening list',
    about: 'openings that can be run by name, and where they lie',
    examples: [
      ['rlp opening list', 'their names, goals and files'],
      ['rlp opening list --json', 'with the folders that were looked in'],
    ],
    run: list,
  },
];

type Row = {
  readonly name: string;
  readonly file: string;
  readonly goals: readonly string[];
  readonly valid: boolean;
  readonly error?: string;
  /** The file that is meant by the name instead: it lies in an earlier folder. */
  readonly hidden_by?: string;
};

async function list(_args: unknown, tools: Tools): Promise<number> {
  const config = await tools.config();
  if (!config.ok) return tools.fail(config.error);
  const { checkoutRoot, searchDirs } = await import('@runloop/daemon');
  const checkout = checkoutRoot(import.meta.dirname);
  const dirs = searchDirs(config.value.config.openings.search_dirs, tools.environment.root, checkout);
  const rows: Row[] = [];
  for (const dir of dirs) {
    // As they are looked for: `.yaml` before `.opening`.
    const entries = (await readdir(dir).catch(() => [])).sort().reverse();
    for (const entry of entries) {
      const name = openingNameOf(entry);
      if (name !== undefined) rows.push(await rowOf(name, join(dir, entry), rows));
    }
  }
  rows.sort((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
  if (tools.json) tools.screen.json({ dirs, openings: rows });
  else if (rows.length === 0) tools.screen.note(`no openings in: ${dirs.join(', ')}`);
  else
    tools.screen.table(
      ['name', 'goal', 'file'],
      rows.map(({ name, goals, error, hidden_by: other, file }) => [
        name,
        other === undefined ? (error ?? goals[0] ?? '') : `(${other} is meant)`,
        file,
      ]),
    );
  return 0;
}

async function rowOf(name: string, file: string, before: readonly Row[]): Promise<Row> {
  const other = before.find((row) => row.name === name && row.hidden_by === undefined);
  const hidden = other === undefined ? {} : { hidden_by: other.file };
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) return { name, file, goals: [], valid: false, error: 'it cannot be read', ...hidden };
  const { opening, diagnostics } = parseOpening(file, text);
  const [first] = diagnostics.list;
  if (opening !== undefined) return { name, file, goals: opening.goals, valid: true, ...hidden };
  const error = first === undefined ? 'it cannot be read' : (renderDiagnostic(first).split('\n')[0] ?? '');
  return { name, file, goals: [], valid: false, error, ...hidden };
}
