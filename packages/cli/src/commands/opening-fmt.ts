/**
 * rlp opening fmt: an opening written tidily, in the surface it has or in the other one.
 *
 * A file is only written when it holds no mistake; what is written means the same.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { err, errorTable, failure, type Failure, ok, type Result } from '@runloop/core';
import { formatOpening, looksLikeBraces, renamedTo, type Surface } from '@runloop/openings';
import { type Arguments, type Command, flag, text, type Tools } from '../command.ts';
import { showDiagnostics } from '../show-diagnostics.ts';
import { readSource } from './run.ts';

export const commands: readonly Command[] = [
  {
    usage: 'opening fmt <file>',
    about: 'write an opening tidily; comments stay',
    options: {
      to: { type: 'string', about: 'the form to write; the one it has, if not said', choices: ['yaml', 'brace'] },
      check: { type: 'boolean', about: 'write nothing; 1 if the file would be another' },
      write: { type: 'boolean', about: 'into the file; for another form, into a new file beside it' },
    },
    examples: [
      ['rlp opening fmt my_opening.yaml --write', 'in place'],
      ['rlp opening fmt my_opening.yaml --to brace', 'print it in braces'],
    ],
    run: (args, tools) => Promise.resolve(format(args, tools)),
  },
];

function format(args: Arguments, tools: Tools): number {
  const given = text(args, 'file') ?? '';
  const read = readFileOf(given, tools.environment.cwd);
  if (!read.ok) return tools.fail(read.error);
  const source = read.value;
  const has: Surface = looksLikeBraces(given, source) ? 'brace' : 'yaml';
  const to = (text(args, 'to') ?? has) as Surface;
  const { text: written, parsed } = formatOpening(given, source, to);
  if (written === undefined) {
    const problem = failure('InvalidOpening', `${given} holds mistakes: nothing is written`, {
      details: { diagnostics: parsed.diagnostics.list },
    });
    return showDiagnostics(problem, tools) ? errorTable[problem.code].exit : tools.fail(problem);
  }
  const changed = written !== source;
  if (flag(args, 'check')) {
    if (tools.json) tools.screen.json({ file: given, changed });
    else if (changed) tools.screen.note(`${given} would be written otherwise: rlp opening fmt ${given} --write`);
    return changed ? 1 : 0;
  }
  if (!flag(args, 'write')) {
    if (tools.json) tools.screen.json({ file: given, changed, text: written });
    else tools.environment.streams.out.write(written);
    return 0;
  }
  return save(given, to === has ? given : renamedTo(given, to), written, tools);
}

function save(given: string, target: string, written: string, tools: Tools): number {
  const path = resolve(tools.environment.cwd, target);
  if (target !== given && existsSync(path))
    return tools.fail(failure('Conflict', `${target} exists already`, { hint: 'remove it, or print without --write' }));
  try {
    writeFileSync(path, written);
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? String(error);
    return tools.fail(failure('Usage', `${target} cannot be written: ${why}`));
  }
  if (tools.json) tools.screen.json({ file: target });
  else if (target !== given) tools.screen.note(`written to ${target}; ${given} is still there`);
  return 0;
}

/** The text of a file; a name is none. */
function readFileOf(given: string, cwd: string): Result<string, Failure> {
  const source = readSource(given, cwd);
  if (!source.ok) return source;
  const { text: found } = source.value;
  return typeof found === 'string'
    ? ok(found)
    : err(failure('NotFound', `there is no file ${given}`, { hint: 'where openings lie: rlp opening list' }));
}
