/**
 * TextEncoder and TextDecoder for UTF-8, the one encoding that agents get.
 *
 * 1. Lone surrogates and malformed bytes become U+FFFD, as the Encoding Standard says.
 */
const replacement = 0xfffd;

export class TextEncoderUtf8 {
  readonly encoding = 'utf-8';
  encode(text = ''): Uint8Array {
    const out: number[] = [];
    for (const char of text) {
      const raw = char.codePointAt(0) ?? 0;
      const code = raw >= 0xd800 && raw <= 0xdfff ? replacement : raw;
      if (code < 0x80) out.push(code);
      else if (code < 0x800) out.push(0xc0 | (code >> 6), 0x80 | (code & 63));
      else if (code < 0x10000) out.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
      else out.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    }
    return Uint8Array.from(out);
  }
}

export class TextDecoderUtf8 {
  readonly encoding = 'utf-8';
  decode(input?: ArrayBuffer | ArrayBufferView): string {
    if (input === undefined) return '';
    const bytes = ArrayBuffer.isView(input)
      ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength)
      : new Uint8Array(input);
    let text = '';
    for (let i = 0; i < bytes.length;) {
      const { code, length } = decodeOne(bytes, i);
      if (!(i === 0 && code === 0xfeff)) text += String.fromCodePoint(code);
      i += length;
    }
    return text;
  }
}

/** One code point; a malformed sequence is one replacement for its longest valid beginning. */
function decodeOne(bytes: Uint8Array, at: number): { readonly code: number; readonly length: number } {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return { code: first, length: 1 };
  const count =
    first >= 0xc2 && first < 0xe0 ? 1 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xf0 && first < 0xf5 ? 3 : 0;
  if (count === 0) return { code: replacement, length: 1 };
  let code = first & (0x3f >> count);
  for (let i = 1; i <= count; i += 1) {
    const byte = bytes[at + i];
    const low = i === 1 ? (first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80) : 0x80;
    const high = i === 1 ? (first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf) : 0xbf;
    if (byte === undefined || byte < low || byte > high) return { code: replacement, length: i };
    code = (code << 6) | (byte & 63);
  }
  return { code, length: count + 1 };
}
