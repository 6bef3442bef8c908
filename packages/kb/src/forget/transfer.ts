/**
 * Texts as mails and web pages carry them: quoted-printable, HTML entities, encoded words (RFC 2047), base64 in lines.
 *
 * 1. What is decoded is looked into beside the text as it stands, so decoding what was not encoded does no harm.
 * 2. Breaks of lines may be those of JSON, or of JSON in JSON. Pure; the time is linear in the text.
 * It knows the charset of encoded words alone: quoted-printable is UTF-8 where it can be, else Latin-1.
 */
import { isUtf8 } from 'node:buffer';

const breaks = String.raw`(?:\r?\n|(?:\\{1,8}r)?\\{1,8}n)`;
const isEncoded = new RegExp(String.raw`=(?:[0-9a-f]{2}|\?|[ \t]*${breaks})|&(?:#x?[0-9a-f]+|[a-z]+[0-9]*);`, 'i');
const softBreak = new RegExp(String.raw`=[ \t]*${breaks}`, 'g');
const octets = /(?:=[0-9a-f]{2})+/gi;
const entity = /&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]+[0-9]*));/gi;
const word = String.raw`=\?[\w-]{1,40}(?:\*[\w-]*)?\?[bq]\?[^?\s]*\?=`;
/** Between two words of one text, spaces mean nothing. */
const words = new RegExp(String.raw`${word}(?:(?:\s|\\{1,8}[rnt])*${word})*`, 'gi');
const oneWord = /=\?([\w-]+)(?:\*[\w-]*)?\?([bq])\?([^?\s]*)\?=/gi;
/** Encoders break base64 after 60 to 76 characters. */
const base64Break = new RegExp(String.raw`${breaks}(?=[A-Za-z0-9+/])(?<=[A-Za-z0-9+/]{60}${breaks})`, 'g');

/** HTML's names of U+00E0 to U+00FF; whoever compares does not mind case. */
const latin1 =
  'agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml igrave iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc uuml yacute thorn yuml';
const named: ReadonlyMap<string, string> = new Map([
  ...latin1.split(' ').map((name, i) => [name, String.fromCharCode(0xe0 + i)] as const),
  ['szlig', 'ß'],
  ['amp', '&'],
  ['lt', '<'],
  ['gt', '>'],
  ['quot', '"'],
  ['apos', `'`],
  ['nbsp', ' '],
  ['shy', ''],
  ['scaron', 'š'],
  ['oelig', 'œ'],
  ['rsquo', '’'],
]);

/** The text without its transfer encodings; undefined where it has none. */
export function decoded(text: string): string | undefined {
  if (!isEncoded.test(text)) return undefined;
  return text
    .replace(words, wordsText)
    .replace(softBreak, '')
    .replace(octets, octetsText)
    .replace(entity, (whole, decimal?: string, hex?: string, name?: string) => {
      if (name !== undefined) return named.get(name.toLowerCase()) ?? whole;
      const code = decimal === undefined ? Number.parseInt(hex ?? '', 16) : Number(decimal);
      return code <= 0x10_ffff ? String.fromCodePoint(code) : whole;
    });
}

/** The text with the lines of base64 joined. */
export function joinedBase64(text: string): string {
  return text.replace(base64Break, '');
}

/** Encoders may break a text in the middle of a character: the bytes of words with one charset belong together. */
function wordsText(run: string): string {
  const parts: { readonly charset: string; bytes: Buffer }[] = [];
  for (const [, charset = '', encoding = '', content = ''] of run.matchAll(oneWord)) {
    const bytes = encoding.toLowerCase() === 'b' ? Buffer.from(content, 'base64') : qBytes(content);
    const last = parts.at(-1);
    if (last?.charset === charset.toLowerCase()) last.bytes = Buffer.concat([last.bytes, bytes]);
    else parts.push({ charset: charset.toLowerCase(), bytes });
  }
  return parts.map(({ charset, bytes }) => textOf(bytes, charset)).join('');
}

function octetsText(run: string): string {
  if (run.length === 3) return String.fromCharCode(Number.parseInt(run.slice(1), 16));
  return textOf(Buffer.from(run.replaceAll('=', ''), 'hex'), 'utf-8');
}

function qBytes(content: string): Buffer {
  const text = content.replaceAll('_', ' ');
  return Buffer.from(
    text.replace(/=([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  );
}

function textOf(bytes: Buffer, charset: string): string {
  if (charset === 'utf-8') return bytes.toString(isUtf8(bytes) ? 'utf8' : 'latin1');
  try {
    return new TextDecoder(charset, { fatal: true }).decode(bytes);
  } catch {
    return bytes.toString('latin1');
  }
}
