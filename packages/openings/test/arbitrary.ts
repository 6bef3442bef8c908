/**
 * Random openings as text: every form that the language has, every awkward key and string.
 */
import fc from 'fast-check';

const awkward = [
  '',
  ' ',
  'true',
  'null',
  '~',
  '0x10',
  '1e3',
  '-',
  '- a',
  'a: b',
  'a:',
  '#',
  ' # c',
  "it's",
  '"',
  '\\',
  '\n',
  '|',
  '>-',
];
const more = [
  'a\nb\n',
  'a\n\n b',
  '// x',
  '{{',
  'node x',
  'edge',
  '<',
  '.inf',
  '9007199254740993',
  '\u0085',
  '\u2028',
  '\uFEFF',
  '\u202E',
  '\x7f',
  '---',
  '...',
  '%a',
  '@',
  '`',
  '!t',
  '&a',
  '*a',
  '\t',
  'é',
  '😀',
];
export const text: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(...awkward, ...more),
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.array(fc.string({ maxLength: 6 }), { maxLength: 4 }).map((lines) => lines.join('\n')),
);
const key = text.filter((one) => one !== '<<' && one !== '__proto__');
const number = fc.oneof(fc.maxSafeInteger(), fc.double({ noNaN: true, min: -1e15, max: 1e15 }));
const leaf = fc.oneof(text, number, fc.boolean(), fc.constant(null));
const { json } = fc.letrec<{ json: unknown }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    leaf,
    fc.array(tie('json'), { maxLength: 3 }),
    fc.dictionary(key, tie('json'), { maxKeys: 3 }),
  ),
}));
const map = fc.dictionary(key, json, { maxKeys: 4 });
const predicate = fc.constantFrom('', '==true', ' != 3', ' >= "a b"', " == 'x -> y # z'", " < '\u202e'", '>-1.5');

const node = fc.record(
  {
    with: map,
    caps: map,
    retry: fc.record(
      { max_attempts: fc.nat(9), jitter: fc.double({ min: 0, max: 1, noNaN: true }) },
      { requiredKeys: [] },
    ),
    timeout_ms: fc.integer({ min: 1, max: 10_000 }),
    tags: fc.array(text, { maxLength: 3 }),
    require_human_confirm: fc.boolean(),
  },
  { requiredKeys: [] },
);

export const openingJson: fc.Arbitrary<{ readonly [key: string]: unknown }> = fc
  .record({
    rest: fc.record(
      {
        goals: fc.array(text, { maxLength: 3 }),
        params: map,
        policy: fc.record(
          { budget_usd: fc.double({ min: 0, max: 9, noNaN: true }), allow_flow: text },
          { requiredKeys: [] },
        ),
        success: fc.constantFrom({ any_of: ['n0.ok == true'] }, { all_of: ['exists(n0.out)', "n0.a == 'it is \"'"] }),
        artifacts: fc.constantFrom({ save: ['n0.out'] }, {}, { save: [] }),
      },
      { requiredKeys: [] },
    ),
    nodes: fc.array(node, { minLength: 1, maxLength: 4 }),
    edges: fc.array(fc.tuple(fc.nat(3), predicate, fc.nat(3)), { maxLength: 4 }),
  })
  .map(({ rest, nodes, edges }) => ({
    version: 0,
    name: 'random',
    ...rest,
    nodes: nodes.map((one, i) => ({ id: `n${i}`, use: i % 2 === 0 ? 'agent:a' : 'opening:b', ...one })),
    edges: edges.map(([from, when, to]) => ({ from: `n${from}.out${when}`, to: `n${to}.in` })),
  }));

/** JSON in which nothing stands that YAML does not print: a text that both surfaces' readers were not made from. */
export function printed(value: unknown): string {
  return JSON.stringify(value, undefined, 1).replaceAll(
    /[^\n\x20-\x7e]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
