/** The log reader through the SDK's harness. */
import { expect, test } from 'vitest';
import { type JsonValue, runAgent } from '@runloop/agent';
import reader from '../src/agent.ts';

function read(lines: JsonValue): JsonValue | undefined {
  const { outcome } = runAgent(reader, { with: { lines } });
  return outcome.ok ? outcome.answer['out']?.[0]?.value : undefined;
}
const summary = (counts: object, bullets: readonly string[], lines: number): object => ({ lines, counts, bullets });

test.each<[string, JsonValue, object]>([
  [
    'levels and repeats, worst first',
    [
      '2026-01-01T10:00:00Z INFO ready',
      'ERROR disk 7 is full',
      'ERROR disk 12 is full',
      'WARN slow request 3f2a9c1b77',
    ],
    summary(
      { error: 2, warn: 1, info: 1, debug: 0 },
      [
        '4 lines: 2 error, 1 warn, 1 info, 0 debug',
        '2 × error: ERROR disk 7 is full',
        '1 × warn: WARN slow request 3f2a9c1b77',
        '1 × info: 2026-01-01T10:00:00Z INFO ready',
      ],
      4,
    ),
  ],
  [
    'one text',
    'a\n\nb',
    summary(
      { error: 0, warn: 0, info: 2, debug: 0 },
      ['2 lines: 0 error, 0 warn, 2 info, 0 debug', '1 × info: a', '1 × info: b'],
      2,
    ),
  ],
  ['nothing', [], summary({ error: 0, warn: 0, info: 0, debug: 0 }, ['0 lines: 0 error, 0 warn, 0 info, 0 debug'], 0)],
])('%s', (_what, lines, expected) => expect(read(lines)).toEqual(expected));
