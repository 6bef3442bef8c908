/** Contacts from a table with a head: its columns are found by their usual names, further ones are kept. */
import { CsvError, parse } from 'csv-parse/sync';
import { contactDelta, deltaOf, type Read, slugOf } from './delta.ts';

const columns: { readonly [member: string]: RegExp } = {
  name: /^(?:(?:full|display)[ _-]?)?name$/,
  first: /^(?:first|given)[ _-]?name$/,
  last: /^(?:last|family|sur)[ _-]?name$/,
  email: /^(?:e-?mail(?: address| 1 - value)?|address)$/,
  phone: /^(?:phone|tel|telephone|mobile)(?: number| 1 - value)?$/,
  org: /^(?:org|organi[sz]ation|company|organi[sz]ation(?: 1 -)? name)$/,
  notes: /^(?:notes?|comments?)$/,
  text: /^text$/,
};

export function* readCsv(text: string): Generator<Read> {
  let rows: readonly (readonly string[])[];
  try {
    rows = parse(text, { bom: true, skip_empty_lines: true, relax_column_count: true, delimiter: delimiterOf(text) });
  } catch (error) {
    const why = error instanceof CsvError ? error.message : String(error);
    yield { place: 'the file', problem: why };
    return;
  }
  const [head = [], ...body] = rows;
  const names = head.map(memberOf);
  if (!['name', 'first', 'last', 'email', 'text'].some((member) => names.includes(member))) {
    yield { place: 'line 1', problem: 'no column is called name, email or text' };
    return;
  }
  for (const [i, row] of body.entries()) yield readRow(`row ${i + 1}`, names, row);
}

function readRow(place: string, names: readonly string[], row: readonly string[]): Read {
  if (row.length > names.length)
    return { place, problem: `it has ${row.length} columns, the head has ${names.length}` };
  const { first, last, name, text, ...members } = Object.fromEntries(names.map((member, i) => [member, row[i]]));
  const whole = name ?? [first, last].filter((part) => part !== undefined && part !== '').join(' ');
  if (text !== undefined && whole === '' && (members['email'] ?? '') === '')
    return text.trim() === ''
      ? { place, problem: 'its text is empty' }
      : { place, delta: deltaOf('note.created', { text }) };
  return contactDelta(place, { ...members, name: whole });
}

function memberOf(column: string): string {
  const low = column.trim().toLowerCase();
  const known = Object.entries(columns).find(([, pattern]) => pattern.test(low));
  return known?.[0] ?? slugOf(column).replaceAll('-', '_');
}

/** What stands most often in the first line. */
function delimiterOf(text: string): string {
  const [head = ''] = text.split('\n', 1);
  const count = (mark: string): number => head.split(mark).length;
  return [',', ';', '\t'].reduce((best, mark) => (count(mark) > count(best) ? mark : best));
}
