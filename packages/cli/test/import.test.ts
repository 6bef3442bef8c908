/** What an import makes of files that are broken, hostile, or gone when it is their turn. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { unwrap } from '@runloop/core';
import { afterAll, expect, test } from 'vitest';
import { readImport } from '../src/import/read.ts';

const dir = mkdtempSync(join(tmpdir(), 'import-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

type Told = { readonly place: string; readonly payload?: unknown; readonly problem?: string };

async function told(path: string): Promise<readonly Told[]> {
  return [...unwrap(await readImport(path), path)].map((read) =>
    'delta' in read ? { place: read.place, payload: read.delta.payload } : read,
  );
}

async function check(name: string, content: string | Uint8Array, expected: readonly object[]): Promise<void> {
  const path = join(dir, name);
  writeFileSync(path, content);
  expect((await told(path)).map(({ place, ...rest }) => (place === path ? rest : { place, ...rest }))).toMatchObject(
    expected,
  );
}

const ann = { payload: { contact: 'contact:ann', name: 'Ann' } };

test('line ends and marks of every kind', async () => {
  await check('cr.vcf', 'BEGIN:VCARD\rVERSION:3.0\rFN:Ann\rEND:VCARD\r', [ann]);
  await check('bom.vcf', '\ufeffBEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ann\r\nEND:VCARD\r\n', [ann]);
  await check('cr.csv', 'name,phone\rAnn,\r', [ann]);
  await check('cr.md', '---\rentity: contact:ann\r---\rhello\r', [
    { payload: { text: 'hello', entity: 'contact:ann' } },
  ]);
});

test('cards that do not end cost no more than others, and are named', async () => {
  await check('nested.vcf', 'BEGIN:VCARD\nFN:Bob\nBEGIN:VCARD\nVERSION:3.0\nFN:Ann\nEND:VCARD\nBEGIN:VCARD\n', [
    { place: 'card 1', problem: 'it has no END:VCARD' },
    { place: 'card 2', ...ann },
    { place: 'card 3', problem: 'it has no END:VCARD' },
  ]);
  const many = 'BEGIN:VCARD\n'.repeat(200_000);
  await check(
    'many.vcf',
    many,
    Array.from({ length: 200_000 }, () => ({ problem: 'it has no END:VCARD' })),
  );
});

test('lists in lists of lists in the place of a date', async () => {
  const names = 'abcdefghijkl'.split('');
  const lines = names.map((name, i) => `${name}: &${name} [${(i === 0 ? 'x,' : `*${names[i - 1]},`).repeat(10)}]`);
  await check('bomb.md', `---\n${lines.join('\n')}\ndate: *l\n---\nhi\n`, [{ payload: { text: 'hi' } }]);
  await check('date.md', `---\ndate: 2026-03-01\n---\nhi\n`, [
    { payload: { text: 'hi', written_ms: 1_772_323_200_000 } },
  ]);
});

test('one long line becomes parts in time that is linear, and no character is cut in two', async () => {
  const path = join(dir, 'long.md');
  for (const text of [`a\n${'x'.repeat(30_000_000)}`, '\u{1f600}'.repeat(20_000), `x${'\u{1f600}'.repeat(20_000)}`]) {
    writeFileSync(path, text);
    const parts = (await told(path)).map(({ payload }) => (payload as { text: string }).text);
    expect(parts.join('') === text.replace('\n', '')).toBe(true);
    expect(parts.every((part) => part.isWellFormed())).toBe(true);
  }
});

test('what no event can carry is refused with its line', async () => {
  await check(
    'x.ndjson',
    String.raw`{"kind":"note.created","payload":{"text":"\ud800"}}
{"kind":"note.created","payload":{"text":"x","__proto__":{"a":1}}}
{"kind":"note.created","payload":{"text":"hi"}}`,
    [
      { place: 'line 1', problem: expect.stringContaining('surrogate') },
      { place: 'line 2', problem: expect.stringContaining('__proto__') },
      { place: 'line 3', payload: { text: 'hi' } },
    ],
  );
});

test('a pipe, a link that goes in circles, a file that vanishes', async () => {
  const folder = join(dir, 'folder');
  mkdirSync(folder);
  execFileSync('mkfifo', [join(folder, 'b.md'), join(dir, 'pipe.md')]);
  symlinkSync('..', join(folder, 'circle'));
  for (const name of ['a.md', 'c.md']) writeFileSync(join(folder, name), 'hi');
  expect(await told(join(dir, 'pipe.md'))).toMatchObject([{ problem: 'it is no file' }]);
  const reading = unwrap(await readImport(folder), 'a folder')[Symbol.iterator]();
  expect(reading.next().value).toMatchObject({ place: 'a.md' });
  rmSync(join(folder, 'c.md'));
  expect(reading.next().value).toMatchObject({ place: 'c.md', problem: expect.stringContaining('ENOENT') });
  expect(reading.next().done).toBe(true);
});

test('UTF-16 is read by its mark; what is no Unicode is refused, for letters would come in damaged', async () => {
  const jörg = { payload: { name: 'Jörg' } };
  const utf16 = Buffer.from('\ufeffname,phone\nJörg,\n', 'utf16le');
  await check('le.csv', utf16, [jörg]);
  await check('be.csv', Buffer.from(utf16).swap16(), [jörg]);
  await check('latin1.md', Buffer.from('Jörg war da', 'latin1'), [{ problem: expect.stringContaining('UTF-8') }]);
  for (const name of ['latin1.csv', 'latin1.vcf', 'latin1.ndjson']) {
    writeFileSync(join(dir, name), Buffer.from('name\nJörg', 'latin1'));
    expect(await readImport(join(dir, name))).toMatchObject({
      ok: false,
      error: { message: expect.stringContaining('UTF-8') },
    });
  }
});

test('a line that nests too deep for any answer is refused alone', async () => {
  const line = (levels: number): string =>
    `{"kind":"note.created","payload":{"text":"x","deep":${'['.repeat(levels)}${']'.repeat(levels)}}}`;
  await check('deep.ndjson', [line(1), line(60), line(10_000), line(2)].join('\n'), [
    { payload: { text: 'x' } },
    { problem: expect.stringContaining('nested deeper') },
    { problem: expect.stringContaining('nested deeper') },
    { payload: { text: 'x' } },
  ]);
});
