/** Archives of bundles: what is packed comes out again; what is hostile is refused and leaves nothing outside. */
import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createGzip, gzipSync } from 'node:zlib';
import { buffer } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock, unwrap } from '@runloop/core';
import { type HostKey, hostKey, loadBundle, packBundle, signBundle, trustHost, unpackBundle } from '../src/index.ts';
import { archiveEntryOverheadBytes, bundleBytesMax, bundleFilesMax } from '../src/limits.ts';

const deps = { clock: systemClock };
let dir: string;
let key: HostKey;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rl-tar-'));
  key = unwrap(await hostKey(dir), 'a key');
});
afterAll(() => rm(dir, { recursive: true, force: true }));

type Entry = {
  readonly name: string;
  readonly type?: string;
  readonly link?: string;
  readonly body?: string | Buffer;
  /** What the header claims. */
  readonly size?: number;
};

function header({ name, type = '0', link = '', body = '', size }: Entry): Buffer {
  const block = Buffer.alloc(512);
  const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, '0')}\0`;
  block.write(name, 0, 100);
  block.write(octal(0o644, 8), 100);
  block.write(octal(0, 8), 108);
  block.write(octal(0, 8), 116);
  block.write(octal(size ?? Buffer.byteLength(body), 12), 124);
  // Base 256, as GNU tar writes what octal digits cannot say.
  if (size === -1) block.fill(0xff, 124, 136).fill(0, 135, 136);
  block.write(octal(0, 12), 136);
  block.write(type, 156);
  block.write(link, 157, 100);
  block.write('ustar\x0000', 257, 'latin1');
  const sum = block.reduce((all, byte) => all + byte, 8 * 32);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

function entry(one: Entry): Buffer {
  const body = Buffer.from(one.body ?? '');
  return Buffer.concat([header(one), body, Buffer.alloc((512 - (body.length % 512)) % 512)]);
}

const end = Buffer.alloc(1024);
const tar = (...entries: readonly Entry[]): Buffer => Buffer.concat([...entries.map(entry), end]);
const file = (name: string, body: string | Buffer = 'x'): Entry => ({ name, body });
const pax = (records: { readonly [key: string]: string }, type = 'x'): Entry => {
  const lines = Object.entries(records).map(([key, value]) => {
    const rest = ` ${key}=${value}\n`;
    const bytes = Buffer.byteLength(rest);
    const length = bytes + String(bytes + String(bytes).length).length;
    return `${length}${rest}`;
  });
  return { name: 'PaxHeader', type, body: lines.join('') };
};

async function unpack(bytes: Uint8Array): Promise<{ readonly said: string; readonly out: string }> {
  const place = await mkdtemp(join(dir, 'x-'));
  const [archive, out] = [join(place, 'a.tgz'), join(place, 'deep', 'out')];
  await mkdir(out, { recursive: true });
  await writeFile(archive, bytes);
  const done = await unpackBundle(deps, archive, out);
  // Whatever it holds, nothing appears beside the folder.
  expect([await readdir(place), await readdir(join(place, 'deep'))]).toEqual([['a.tgz', 'deep'], ['out']]);
  return { said: done.ok ? '' : `${done.error.code}: ${done.error.message}`, out };
}

const whole = gzipSync(tar(file('manifest.toml', 'm'.repeat(5000))));

describe('a hostile archive is refused', () => {
  test.each<readonly [string, Uint8Array, RegExp]>([
    ['a path that climbs', gzipSync(tar(file('../evil'))), /leaves its folder/],
    ['one that climbs from inside', gzipSync(tar(file('a/../../evil'))), /leaves its folder/],
    ['an absolute path', gzipSync(tar(file('/tmp/evil'))), /absolute/],
    ['an absolute path behind ./', gzipSync(tar(file('.//tmp/evil'))), /absolute/],
    ['a symbolic link', gzipSync(tar({ name: 'l', type: '2', link: '/etc' }, file('l/x'))), /"l" is a symlink/],
    ['a hard link', gzipSync(tar(file('a'), { name: 'l', type: '1', link: 'a' })), /"l" is a link/],
    ['a character device', gzipSync(tar({ name: 'd', type: '3' })), /character-device/],
    ['a block device', gzipSync(tar({ name: 'd', type: '4' })), /block-device/],
    ['a pipe', gzipSync(tar({ name: 'p', type: '6' })), /fifo/],
    ['a contiguous file', gzipSync(tar({ name: 'c', type: '7' })), /contiguous-file/],
    ['a sparse file of GNU tar', gzipSync(tar({ name: 's', type: 'S' })), /special file/],
    ['a volume label', gzipSync(tar({ name: 'v', type: 'V' })), /special file/],
    [
      'a sparse file by attributes',
      gzipSync(tar(pax({ 'GNU.sparse.size': '9' }), file('s'))),
      /attribute GNU.sparse.size/,
    ],
    ['another size by attribute', gzipSync(tar(pax({ size: '1' }), file('s'))), /attribute size/],
    ['a link by attribute', gzipSync(tar(pax({ linkpath: '/etc' }), file('s'))), /attribute linkpath/],
    [
      'attributes for all',
      gzipSync(tar(pax({ uname: 'root' }, 'g'), pax({ path: 'a' }), file('s'))),
      /attribute uname/,
    ],
    ['a path by attribute', gzipSync(tar(pax({ path: '../evil' }), file('s'))), /leaves its folder/],
    [
      'a long path of GNU tar',
      gzipSync(tar({ name: 'L', type: 'L', body: '../../evil\0' }, file('s'))),
      /leaves its folder/,
    ],
    ['NUL in a name', gzipSync(tar(pax({ path: 'a\0b' }), file('s'))), /character that no name may/],
    ['a control character', gzipSync(tar(file('a\u001b[2Jb'))), /character that no name may/],
    ['a bidirectional character', gzipSync(tar(file('a\u202eb'))), /character that no name may/],
    ['a backslash', gzipSync(tar(file('..\\evil'))), /character that no name may/],
    ['a name that is no UTF-8', gzipSync(tar(file('a')).fill(0xff, 0, 1)), /checksum|Invalid tar header/],
    ['the same name twice', gzipSync(tar(file('a'), file('a'))), /is there twice/],
    ['names that differ by case', gzipSync(tar(file('a'), file('A'))), /spelling alone/],
    ['folders that differ by case', gzipSync(tar(file('bin/a'), file('Bin/b'))), /spelling alone/],
    ['names that differ by Unicode form', gzipSync(tar(file('\u00e9'), file('e\u0301'))), /spelling alone/],
    ['names that differ by compatibility form', gzipSync(tar(file('fi'), file('\ufb01'))), /spelling alone/],
    ['a file that is a folder too', gzipSync(tar(file('a'), file('a/b'))), /a file and a folder/],
    ['a folder that is a file too', gzipSync(tar(file('a/b'), file('a'))), /a file and a folder/],
    ['a folder with content', gzipSync(tar({ name: 'd/', type: '5', body: 'x'.repeat(512) })), /has content/],
    ['an empty part', gzipSync(tar(file('a//b'))), /no plain path/],
    ['a part that is too long', gzipSync(tar(pax({ path: 'x'.repeat(129) }), file('s'))), /more than 128 bytes/],
    ['a path that is too long', gzipSync(tar(pax({ path: 'x/'.repeat(300) + 'x' }), file('s'))), /more than 512 bytes/],
    ['cut off in gzip', whole.subarray(0, -20), /unexpected end/],
    ['cut off in tar', gzipSync(tar(file('a', 'x'.repeat(5000))).subarray(0, 3000)), /end of data/],
    [
      'less than its header claims',
      gzipSync(Buffer.concat([header({ name: 'a', size: 1_000_000 }), end])),
      /end of data/,
    ],
    ['garbage behind it', Buffer.concat([whole, Buffer.from('garbage')]), /incorrect header/],
    ['zeros and garbage behind it', Buffer.concat([whole, Buffer.alloc(600), Buffer.from('x')]), /follows the end/],
    [
      'garbage behind the end mark',
      gzipSync(Buffer.concat([tar(file('a')), Buffer.alloc(512, 7)])),
      /Invalid tar header/,
    ],
    ['a second archive that repeats a name', Buffer.concat([whole, whole]), /is there twice/],
    ['no archive', Buffer.from('hello'), /incorrect header/],
    ['nothing', Buffer.alloc(0), /unexpected end|holds no file/],
    ['an empty archive', gzipSync(end), /holds no file/],
    ['a negative size', gzipSync(tar({ name: 'a', size: -1 })), /Invalid|refused/],
  ])('%s', async (_, bytes, expected) => {
    const { said } = await unpack(bytes);
    expect(said).toMatch(/^InvalidBundle: .*the archive was refused/);
    expect(said).toMatch(expected);
  });

  test('A10: more entries than a bundle has', async () => {
    const { said } = await unpack(
      gzipSync(tar(...Array.from({ length: bundleFilesMax + 1 }, (__, i) => file(`f${i}`, '')))),
    );
    expect(said).toMatch(/more than 4096 entries/);
  });
  test('A10: a bomb in its files, whatever the header claims, and one in what is no file', async () => {
    const chunk = Buffer.alloc(1024 * 1024);
    const bomb = (head: Buffer, mib: number): Promise<Buffer> =>
      buffer(
        Readable.from(
          (function* () {
            yield head;
            for (let i = 0; i < mib; i += 1) yield chunk;
          })(),
        ).pipe(createGzip({ level: 1 })),
      );
    const mib = bundleBytesMax / chunk.length + 1;
    const { said, out } = await unpack(await bomb(header({ name: 'a', size: mib * chunk.length }), mib));
    expect(said).toMatch(/files have more than 268435456 bytes/);
    expect((await stat(join(out, 'a'))).size).toBeLessThanOrEqual(bundleBytesMax);
    const zeros = (bundleBytesMax + bundleFilesMax * archiveEntryOverheadBytes) / chunk.length + 1;
    expect((await unpack(await bomb(entry(file('a')), zeros))).said).toMatch(/when unpacked/);
  });
});

test('a plain archive of other tools is taken: ./ before names, folders, long names', async () => {
  const long = `${'n'.repeat(100)}/${'m'.repeat(100)}`;
  const { said, out } = await unpack(
    gzipSync(
      tar(
        { name: './', type: '5' },
        { name: './bin/', type: '5' },
        file('./bin/a', 'A'),
        pax({ path: long, mtime: '1' }),
        file('s', 'S'),
      ),
    ),
  );
  expect(said).toBe('');
  expect([await readFile(join(out, 'bin/a'), 'utf8'), await readFile(join(out, long), 'utf8')]).toEqual(['A', 'S']);
});

test('a bundle packed twice is the same bytes, and unpacked it is the same bundle', async () => {
  const from = join(dir, 'plain');
  await mkdir(join(from, 'bin'), { recursive: true });
  await mkdir(join(from, 'node_modules'));
  await writeFile(join(from, 'manifest.toml'), '[agent]\nname = "plain"\nversion = "1.2.3"\n');
  await writeFile(join(from, 'policy.caps'), '');
  await writeFile(join(from, 'bin/plain.wasm'), Buffer.alloc(100_000, 'w'));
  await writeFile(join(from, 'node_modules/x'), 'no part of it');
  unwrap(await signBundle(from, key), 'it signs');
  const bundle = unwrap(await loadBundle(from, trustHost(key.id)), 'it loads');
  const first = unwrap(await packBundle(bundle), 'it packs');
  const again = unwrap(await packBundle(bundle), 'it packs again');
  expect(first.name).toBe('plain-1.2.3.tgz');
  expect(Buffer.from(first.bytes).equals(again.bytes)).toBe(true);
  const { said, out } = await unpack(first.bytes);
  expect(said).toBe('');
  expect((await readdir(out)).sort()).toEqual(['SIGNATURES', 'bin', 'manifest.toml', 'policy.caps']);
  expect(unwrap(await loadBundle(out, trustHost(key.id)), 'it loads').digest).toBe(bundle.digest);
});
