/** docs/threats.md names the case of each attack; every one that it names is there. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { root } from '../e2e/place.ts';

const rows = readFileSync(join(root, 'docs/threats.md'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| ') && line.includes('.ts` "'))
  .map((line) => [line.split('|').slice(1, 3).join(':').trim(), line] as const);

test('there are rows', () => expect(rows.length).toBeGreaterThan(50));

test.each(rows)('%s', (_, line) => {
  for (const part of line.split(';')) {
    const file = /`([^`]+\.ts)`/.exec(part)?.[1] ?? expect.fail(part);
    expect(existsSync(join(root, file)), file).toBe(true);
    const text = readFileSync(join(root, file), 'utf8');
    const cases = [...part.matchAll(/"([^"]+)"/g)].map((match) => match[1] ?? '');
    expect(cases.length).toBeGreaterThan(0);
    for (const one of cases) expect(text.includes(one), `${file}: ${one}`).toBe(true);
  }
});
