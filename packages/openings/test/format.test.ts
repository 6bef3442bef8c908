import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatOpening, looksLikeBraces, parseOpening, renderDiagnostic, type Surface } from '../src/index.ts';
import { openingJson, printed } from './arbitrary.ts';

function written(file: string, text: string, to: Surface): string {
  const { text: out, parsed } = formatOpening(file, text, to);
  if (out === undefined) throw new Error(`${text}\n${parsed.diagnostics.list.map(renderDiagnostic).join('\n')}`);
  return out;
}

function irOf(file: string, text: string): unknown {
  const { opening, diagnostics } = parseOpening(file, text);
  if (opening === undefined) throw new Error(`${text}\n${diagnostics.list.map(renderDiagnostic).join('\n')}`);
  return opening;
}

describe('both surfaces', () => {
  test('say the same of any opening, and written again stay as they are', () => {
    fc.assert(
      fc.property(openingJson, (opening) => {
        const source = printed(opening);
        const ir = irOf('x.yaml', source);
        const yaml = written('x.yaml', source, 'yaml');
        const brace = written('x.yaml', source, 'brace');
        for (const text of [yaml, brace]) expect(irOf('x', text)).toEqual(ir);
        expect(written('x', yaml, 'yaml')).toBe(yaml);
        expect(written('x', brace, 'brace')).toBe(brace);
        expect(irOf('x', written('x', brace, 'yaml'))).toEqual(ir);
        expect(irOf('x', written('x', yaml, 'brace'))).toEqual(ir);
      }),
      { numRuns: 300 },
    );
  });

  test('keep each comment once, wherever it stands', () => {
    fc.assert(
      fc.property(openingJson, fc.array(fc.nat(2), { minLength: 8, maxLength: 8 }), (opening, where) => {
        const bare = written('x.yaml', printed(opening), 'brace');
        let count = 0;
        const lines = bare
          .trimEnd()
          .split('\n')
          .flatMap((line, i) => {
            const how = where[i % where.length];
            if (how === 0) return [line];
            count += 1;
            return how === 1 ? [`// c${count}.`, line] : [`${line} # c${count}.`];
          });
        const source = lines.join('\n');
        const ir = irOf('x', bare);
        for (const to of ['yaml', 'brace'] as const) {
          const once = written('x', source, to);
          expect(irOf('x', once)).toEqual(ir);
          expect(written('x', once, to)).toBe(once);
          for (let i = 1; i <= count; i += 1) expect(once.split(`# c${i}.`), `c${i} in\n${once}`).toHaveLength(2);
        }
      }),
      { numRuns: 300 },
    );
  });

  test.each<[string, string, string, Surface]>([
    [
      'the form of the language on one line',
      'opening "a" { goals: ["x y"] nodes: [{ id: n, use: agent:b }] edges: [] }',
      'version: 0\nname: a\ngoals: ["x y"]\nnodes:\n  - id: n\n    use: agent:b\nedges: []\n',
      'yaml',
    ],
    [
      'statements, and words without quotes',
      "opening a { node n { use: agent:b, with: { q: '{{params.x}}' } } node m{use:agent:b} edge n.ok == true -> m.in params: {x: john} }",
      'version: 0\nname: a\nnodes:\n  - id: n\n    use: agent:b\n    with: { q: "{{params.x}}" }\n  - id: m\n    use: agent:b\nedges:\n  - { from: "n.ok == true", to: m.in }\nparams: { x: john }\n',
      'yaml',
    ],
    [
      'comments',
      '# first\nversion: 0 # v\nname: a\n# of nodes\nnodes: # behind\n  # before n\n  - id: n # of n\n    # before use\n    use: agent:b # of use\n# last',
      '# first\nopening "a" { # v\n  # of nodes\n  # behind\n  # before n\n  node n { # of n\n    # before use\n    use: agent:b # of use\n  }\n}\n# last\n',
      'brace',
    ],
    [
      'comments back, and those inside of a map',
      '// first\nopening a {\n  node n { # of n\n    use: agent:b\n    with: {\n # in\n a: "# no" } // behind\n  }\n}',
      '# first\nversion: 0\nname: a\nnodes:\n  - id: n # of n\n    use: agent:b\n    with:\n      # in\n      a: "# no" # behind\n',
      'yaml',
    ],
    [
      'numbers as they were written, and texts of several lines',
      'version: 0\nname: a\npolicy: { budget_usd: 0.50 }\nparams:\n  n: 0x10\n  t: |\n    one # two\n\n    three\nnodes: [{ id: n, use: agent:b }]',
      'version: 0\nname: a\npolicy: { budget_usd: 0.50 }\nparams:\n  n: 0x10\n  t: |\n    one # two\n\n    three\nnodes:\n  - id: n\n    use: agent:b\n',
      'yaml',
    ],
  ])('%s', (_, source, expected, to) => {
    expect(written('x', source, to)).toBe(expected);
    expect(written('x', expected, to)).toBe(expected);
    expect(irOf('x', expected)).toEqual(irOf('x', source));
  });
});

const examples = join(import.meta.dirname, '../../../examples/openings');
test.each(readdirSync(examples))('the example %s stands as fmt writes it', (file) => {
  const written = readFileSync(join(examples, file), 'utf8');
  expect(formatOpening(file, written, looksLikeBraces(file, written) ? 'brace' : 'yaml').text).toBe(written);
});
