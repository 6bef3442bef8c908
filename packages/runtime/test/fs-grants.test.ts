/** Grants of directories as texts: which covers a path, and that no layer adds to another. */
import { describe, expect, test } from 'vitest';
import fc from 'fast-check';
import { type FsGrant, expandHome, grantFor, narrow, noCaps, parseCaps } from '../src/index.ts';

const caps = (...fs: readonly FsGrant[]): typeof noCaps => ({ ...noCaps, fs });
const ro = (path: string): FsGrant => ({ path, write: false });
const rw = (path: string): FsGrant => ({ path, write: true });

test.each([
  ['/a', [ro('/a')], ro('/a')],
  ['/a/b', [ro('/a')], ro('/a')],
  ['/ab', [ro('/a')], undefined],
  ['/', [ro('/a')], undefined],
  ['/a/b/c', [ro('/a'), rw('/a/b')], rw('/a/b')],
  ['/a/b/c', [rw('/a'), ro('/a/b')], ro('/a/b')],
])('the grant of %s in %j', (path, grants, expected) => expect(grantFor(grants, path)).toEqual(expected));

test.each([
  [[rw('/a')], [ro('/a')], [ro('/a')]],
  [[rw('/a')], [rw('/a/b')], [rw('/a/b')]],
  [[ro('/a')], [rw('/a/b')], [ro('/a/b')]],
  [[rw('/a'), ro('/a/b')], [rw('/a')], [rw('/a'), ro('/a/b')]],
  [[rw('/a')], [rw('/b')], []],
])('%j and %j have %j in common', (a, b, expected) => expect(narrow(caps(...a), caps(...b)).fs).toEqual(expected));

describe('narrowing', () => {
  const path = fc
    .array(fc.constantFrom('a', 'b', 'ab'), { minLength: 1, maxLength: 4 })
    .map((parts) => `/${parts.join('/')}`);
  const grants = fc.uniqueArray(fc.record({ path, write: fc.boolean() }), {
    maxLength: 5,
    selector: (one) => one.path,
  });
  test('grants of a path exactly what both grant of it', () =>
    fc.assert(
      fc.property(grants, grants, path, (a, b, at) => {
        const [one, other] = [grantFor(a, at), grantFor(b, at)];
        const both = grantFor(narrow(caps(...a), caps(...b)).fs, at);
        expect(both !== undefined).toBe(one !== undefined && other !== undefined);
        expect(both?.write === true).toBe(one?.write === true && other?.write === true);
      }),
    ));
});

test('a grant below the home directory is read, kept and expanded', () => {
  const read = parseCaps('fs = ["/abs/./dir/", "~", { path = "~/notes//x/", write = true }]');
  if (!read.ok) throw new Error(read.error.message);
  expect(read.value.fs).toEqual([ro('/abs/dir'), ro('~'), rw('~/notes/x')]);
  expect(expandHome(read.value, '/home/me').fs).toEqual([ro('/abs/dir'), ro('/home/me'), rw('/home/me/notes/x')]);
  expect(expandHome(read.value, '/run/me').fs).toEqual([ro('/abs/dir')]);
});

test('the run’s folder is granted where there is one, and each layer narrows it', () => {
  const read = parseCaps('fs = [{ path = ".", write = "ask" }, "./docs"]');
  if (!read.ok) throw new Error(read.error.message);
  const asks: FsGrant = { path: '/p', write: true, ask: true };
  expect(expandHome(read.value, '/h').fs).toEqual([]);
  expect(expandHome(read.value, '/h', '/p').fs).toEqual([asks, ro('/p/docs')]);
  const meets: readonly (readonly [FsGrant, FsGrant])[] = [
    [rw('/p'), asks],
    [asks, asks],
    [ro('/p'), ro('/p')],
    [rw('/'), asks],
  ];
  for (const [layer, expected] of meets) expect(narrow(caps(asks), caps(layer)).fs).toContainEqual(expected);
  expect(narrow(caps(rw('.')), caps(rw('/p'))).fs).toEqual([]);
});

test('of two grants that turn out to be of one directory the narrower counts', () => {
  for (const grants of [
    [rw('~/x'), ro('/h/x')],
    [ro('/h/x'), rw('~/x')],
  ])
    expect(expandHome(caps(...grants), '/h').fs).toEqual([ro('/h/x')]);
});
