/**
 * Summarises log lines: how many of each level, and which messages repeat, their numbers and ids put aside.
 */
import { type JsonValue, defineAgent } from '@runloop/agent';

const levels = ['error', 'warn', 'info', 'debug'] as const;
type Level = (typeof levels)[number];
const patterns: readonly (readonly [Level, RegExp])[] = [
  ['error', /\b(?:error|err|fatal|panic|critical|exception)\b/i],
  ['warn', /\bwarn(?:ing)?\b/i],
  ['debug', /\b(?:debug|trace)\b/i],
];
const topDefault = 5;

export default defineAgent({
  handle(request) {
    const lines = [request.with['lines'], ...(request.inputs['in'] ?? [])].flatMap(linesOf);
    const counts: Record<Level, number> = { error: 0, warn: 0, info: 0, debug: 0 };
    const groups = new Map<string, { level: Level; count: number; example: string }>();
    for (const line of lines) {
      const level = patterns.find(([, pattern]) => pattern.test(line))?.[0] ?? 'info';
      counts[level] += 1;
      const key = shapeOf(line);
      const group = groups.get(key);
      if (group === undefined) groups.set(key, { level, count: 1, example: line.slice(0, 200) });
      else group.count += 1;
    }
    const { top } = request.with;
    const ranked = [...groups.values()].sort(
      (a, b) => levels.indexOf(a.level) - levels.indexOf(b.level) || b.count - a.count,
    );
    const bullets = [
      `${lines.length} lines: ${levels.map((level) => `${counts[level]} ${level}`).join(', ')}`,
      ...ranked
        .slice(0, typeof top === 'number' ? top : topDefault)
        .map((group) => `${group.count} × ${group.level}: ${group.example}`),
    ];
    return { out: [{ type: 'artifact.generic.v1', value: { lines: lines.length, counts, bullets } }] };
  },
});

function linesOf(value: JsonValue | undefined): readonly string[] {
  if (typeof value === 'string') return value.split(/\r?\n/).filter((line) => line.trim() !== '');
  return Array.isArray(value) ? value.flatMap((one) => linesOf(one as JsonValue)) : [];
}

/** What is left of a line when times, numbers and ids are put aside. */
function shapeOf(line: string): string {
  return line
    .replace(/\b\d{4}-\d\d-\d\d[T ][\d:.,]+(?:Z|[+-]\d\d:?\d\d)?/g, '')
    .replace(/\b[0-9a-f]{8,}\b/gi, '#')
    .replace(/\d+/g, '#')
    .replace(/\s+/g, ' ')
    .trim();
}
