import { describe, expect, test } from 'vitest';
import { type AgentInterface, draw, type DrawingFormat, drawingFormats, planOf } from '../src/index.ts';
import { openingOf } from './drive.ts';

const agents = new Map<string, AgentInterface>([['a', { name: 'a', in: { in: ['*'] }, out: { out: ['*'] } }]]);

function drawn(format: DrawingFormat, text: string): string {
  return draw(planOf(openingOf(text), agents), format);
}

const hostile = `nodes:
  - { id: end, use: "agent:a" }
  - { id: mid, use: "agent:a" }
  - { id: last, use: "agent:a" }
edges:
  - { from: end.out, to: mid.in }
  - { from: mid.out, to: last.in }
  - { from: 'end.out == "</text><script>&x;]];}%%"', to: last.in }
  - { from: "end.out != '\\\\\\"; x -> y'", to: last.in }
`;

describe('a drawing', () => {
  test.each<[DrawingFormat, string]>([
    [
      'text',
      't\n\n  1 ▪ end  a\n     ├─ out ──▶ mid.in\n     ├─ out == "</text><script>&x;]];}%%" ──▶ last.in\n     └─ out != "\\\\\\"; x -> y" ──▶ last.in\n\n  2 ▪ mid  a\n     └─ out ──▶ last.in\n\n  3 ▪ last  a\n',
    ],
    [
      'dot',
      'digraph "t" {\n  rankdir=LR;\n  node [shape=box, style=rounded];\n  "end" [label="end\\na"];\n  "mid" [label="mid\\na"];\n  "last" [label="last\\na"];\n  "end" -> "mid" [label="out → in"];\n  "mid" -> "last" [label="out → in"];\n  "end" -> "last" [label="out → in if == \\"</text><script>&x;]];}%%\\""];\n  "end" -> "last" [label="out → in if != \\"\\\\\\\\\\\\\\"; x -> y\\""];\n}\n',
    ],
    [
      'mermaid',
      'flowchart LR\n  n0["end<br/>a"]\n  n1["mid<br/>a"]\n  n2["last<br/>a"]\n  n0 -->|"out #8594; in"| n1\n  n1 -->|"out #8594; in"| n2\n  n0 -->|"out #8594; in if == #34;#60;/text#62;#60;script#62;#38;x#59;#93;#93;#59;#125;#37;#37;#34;"| n2\n  n0 -->|"out #8594; in if != #34;#92;#92;#92;#34;#59; x -#62; y#34;"| n2\n',
    ],
  ])('as %s says all, and what a file brings ends nothing', (format, expected) => {
    expect(drawn(format, hostile)).toBe(expected);
  });

  test('as SVG holds each node and edge once and nothing that a file brings as a tag', () => {
    const svg = drawn('svg', hostile);
    expect(svg.match(/<[a-z]+/g)?.filter((tag) => tag === '<path')).toHaveLength(4 + 1);
    expect(new Set(svg.match(/<\/?[a-z]+/g))).toEqual(
      new Set([
        '<svg',
        '<title',
        '</title',
        '<style',
        '</style',
        '<defs',
        '<marker',
        '<path',
        '</marker',
        '</defs',
        '<rect',
        '<g',
        '</path',
        '</g',
        '<text',
        '</text',
        '</svg',
      ]),
    );
    expect(svg).not.toContain('http://www.w3.org/1999/xlink');
  });

  test('no two nodes of an SVG overlap, and long edges pass between them', () => {
    const nodes = Array.from({ length: 24 }, (_, i) => `  - { id: n${i}, use: "agent:a" }`);
    const edges = Array.from(
      { length: 23 },
      (_, i) => `  - { from: n${i}.out, to: n${Math.min(23, i + 1 + (i % 5))}.in }`,
    );
    const svg = drawn('svg', `nodes:\n${nodes.join('\n')}\nedges:\n${edges.join('\n')}`);
    const boxes = [...svg.matchAll(/<rect x="([\d.]+)" y="([\d.]+)" width="(\d+)" height="(\d+)"/g)].map((found) =>
      found.slice(1).map(Number),
    );
    expect(boxes).toHaveLength(24);
    boxes.forEach(([x = 0, y = 0, width = 0, height = 0], i) => {
      for (const [otherX = 0, otherY = 0] of boxes.slice(i + 1))
        expect(Math.abs(x - otherX) >= width || Math.abs(y - otherY) >= height).toBe(true);
    });
  });

  test.each(drawingFormats)('of 20 000 nodes as %s is made, with more long edges than are bent', (format) => {
    const nodes = Array.from({ length: 20_000 }, (_, i) => ({ id: `n${i}`, use: 'agent:a' }));
    const edges = nodes.slice(1).map(({ id }, i) => ({ from: `n${i >> 1}.out`, to: `${id}.in` }));
    const all = edges.concat(nodes.slice(2).map((_, i) => ({ from: 'n0.out', to: `n${i + 2}.in` })));
    const text = `nodes: ${JSON.stringify(nodes)}\nedges: ${JSON.stringify(all)}`;
    expect(drawn(format, text).match(/n19999/g)?.length ?? 0).toBeGreaterThan(0);
  });
});
