/**
 * The documents hold: links lead somewhere, the pages that come from tables are those tables, nothing names what is not there.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { errorTable } from '@runloop/core';
import { errorsPage } from '../scripts/errors-page.ts';

const root = join(import.meta.dirname, '..');
const pages = [
  'README.md',
  'ARCHITECTURE.md',
  'STYLE.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'CHANGELOG.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.md'))
    .map((path) => join('docs', path)),
];
const plain = (text: string): string => text.replaceAll(/[ -]+/g, ' ');

test.each(pages)('links of %s lead somewhere', (page) => {
  const text = readFileSync(join(root, page), 'utf8');
  const broken = [...text.matchAll(/\]\(([^)#\s]+)/g)]
    .map((match) => match[1] ?? '')
    .filter((link) => !link.startsWith('http') && !existsSync(join(root, dirname(page), link)));
  expect(broken).toEqual([]);
});

test('docs/errors.md is the table of errors', () => {
  expect(plain(readFileSync(join(root, 'docs/errors.md'), 'utf8'))).toBe(plain(errorsPage()));
  expect(Object.keys(errorTable).length).toBeGreaterThan(40);
});

describe('every dependency has its line in docs/dependencies.md', () => {
  const text = readFileSync(join(root, 'docs/dependencies.md'), 'utf8');
  const manifests = readdirSync(join(root, 'packages')).map(
    (name) =>
      JSON.parse(readFileSync(join(root, 'packages', name, 'package.json'), 'utf8')) as {
        dependencies?: Record<string, string>;
      },
  );
  const names = new Set(
    manifests
      .flatMap((manifest) => Object.keys(manifest.dependencies ?? {}))
      .filter((name) => !name.startsWith('@runloop/')),
  );
  test.each([...names])('%s', (name) => {
    expect(text).toContain(name);
  });
});
