import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { load } from 'js-yaml';
import { describe, expect, test } from 'vitest';
import {
  type AgentInterface,
  type Diagnostics,
  formatOpening,
  openingSchema,
  parseOpening,
  renderDiagnostic,
  validateOpening,
} from '../src/index.ts';
import { openingJson, printed } from './arbitrary.ts';
import { braceSyntax, form, meaning, type Row, yamlSyntax } from './malformed.ts';

const a: AgentInterface = {
  name: 'a',
  in: { in: ['*'], number: ['number'] },
  out: { out: ['text'], ok: ['bool'], n: ['number'] },
  withSchema: { type: 'object', properties: { text: { type: 'string' } }, additionalProperties: false },
};

function diagnose(text: string): Diagnostics {
  const parsed = parseOpening('x', text);
  validateOpening(parsed, new Map([['a', a]]), {});
  return parsed.diagnostics;
}

/** Line and column of each mark, and the text without them. */
function unmarked(marked: string): { readonly text: string; readonly places: readonly string[] } {
  const parts = marked.split('▸');
  let before = '';
  const places = parts.slice(0, -1).map((part) => {
    before += part;
    const lines = before.split('\n');
    return `${lines.length}:${(lines.at(-1) ?? '').length + 1}`;
  });
  return { text: parts.join(''), places };
}

const rows = [...yamlSyntax, ...braceSyntax, ...form, ...meaning];
const titled = (list: readonly Row[]): [string, Row][] =>
  list.map((row) => [`${unmarked(row[0]).places.join(', ')} ${row.slice(1).join(', ')}`, row]);

describe('a malformed opening', () => {
  test.each(titled(rows))('%s', (_, [marked, ...says]) => {
    const { text, places } = unmarked(marked);
    const found = diagnose(text).list.map(({ line, column, message }) => ({ at: `${line}:${column}`, message }));
    found.sort((one, other) => places.indexOf(one.at) - places.indexOf(other.at));
    expect(found.map(({ at }) => at)).toEqual(places);
    says.forEach((part, i) => expect(found[i]?.message).toContain(part));
  });

  test('there are more than a hundred', () => {
    expect(rows.length).toBeGreaterThan(100);
  });

  const validate = new Ajv2020({ strictTypes: false }).compile(openingSchema);
  test.each(titled(form))('a schema can tell: %s', (_, [marked]) => {
    expect(validate(load(unmarked(marked).text))).toBe(false);
  });
});

test('no mutation of an opening, and no text at all, throws', () => {
  const forms = openingJson.chain((opening) => {
    const source = printed(opening);
    return fc.constantFrom(
      source,
      formatOpening('x', source, 'yaml').text ?? '',
      formatOpening('x', source, 'brace').text ?? '',
    );
  });
  const bits = fc.oneof(
    fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      '"',
      "'",
      ':',
      ',',
      '\n',
      ' ',
      '->',
      'edge ',
      'node ',
      '#',
      '//',
      '\\',
      '\0',
      '{{',
      '- ',
      '\t',
      '&',
      '|',
    ),
    fc.string({ unit: 'binary', maxLength: 3 }),
  );
  const edit = fc.tuple(fc.nat(), fc.nat(4), bits);
  const mutated = fc.tuple(forms, fc.array(edit, { maxLength: 5 })).map(([text, edits]) =>
    edits.reduce((now, [at, gone, put]) => {
      const place = at % (now.length + 1);
      return now.slice(0, place) + put + now.slice(place + gone);
    }, text),
  );
  const bytes = fc.uint8Array({ maxLength: 200 }).map((list) => Buffer.from(list).toString('utf8'));
  const text = fc.oneof(
    { weight: 4, arbitrary: mutated },
    bytes,
    bytes.map((more) => `opening a {${more}`),
  );
  fc.assert(
    fc.property(text, (one) => {
      for (const item of diagnose(one).list) renderDiagnostic(item);
      formatOpening('x', one, 'brace');
    }),
    { numRuns: 1500 },
  );
});

test.each([
  ['brackets', 'opening a { params: { a: [' + '['.repeat(1_000_000)],
  ['blanks behind an edge', 'opening a { edge a.out' + ' '.repeat(1_000_000) + '}'],
  ['dashes in an edge', 'opening a { edge ' + '-'.repeat(1_000_000)],
  ['an arrow that never comes', 'opening a {' + ' edge a.b'.repeat(100_000)],
  ['words', 'opening a { ' + 'a '.repeat(500_000)],
  ['a long word', 'opening a { b: c ' + 'd'.repeat(1_000_000) + ':'],
  ['comments', 'opening a { ' + '//#\n'.repeat(300_000)],
  ['comments before all', '#\n'.repeat(500_000) + ' x'],
  ['quotes', 'opening a { a: ' + '"'.repeat(1_000_000)],
  ['backslashes', 'opening a { a: "' + '\\'.repeat(1_000_001)],
  ['placeholders', 'opening a { a: ' + '{{'.repeat(500_000)],
  ['yaml brackets', '['.repeat(1_000_000)],
  ['yaml keys', 'a:\n'.repeat(300_000)],
])(
  'a megabyte of %s is refused, and soon',
  (_, text) => {
    expect(diagnose(text).failed).toBe(true);
  },
  10_000,
);
