/** Binaries made by hand and by mutation: the guard and the meter refuse, and never throw. */
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readFile } from 'node:fs/promises';
import { type Bundle, guardComponent } from '../src/index.ts';
import { componentBytesMax, componentPartsMax } from '../src/limits.ts';
import { componentPreamble, corePreamble, u32Leb } from '../src/wasm/bytes.ts';
import { guardModule } from '../src/wasm/guard.ts';
import { instrument } from '../src/wasm/instrument.ts';
import { type Bench, buildTestAgent, workbench } from './fixture.ts';

const text = (value: string): number[] => [...u32Leb(Buffer.byteLength(value)), ...Buffer.from(value)];
const section = (id: number, body: readonly number[]): number[] => [id, ...u32Leb(body.length), ...body];
const module = (...parts: readonly number[][]): Uint8Array => Uint8Array.from([...corePreamble, ...parts.flat()]);
const component = (...parts: readonly number[][]): Uint8Array =>
  Uint8Array.from([...componentPreamble, ...parts.flat()]);

/** A core module that exports one function called `name`. */
const exporting = (name: string): Uint8Array =>
  module(
    section(1, [1, 0x60, 0, 0]),
    section(3, [1, 0]),
    section(7, [1, ...text(name), 0, 0]),
    section(10, [1, 2, 0, 0x0b]),
  );
const importing = (name: string): number[] => section(10, [1, 0, ...text(name), 5, 0]);

function refusal(bytes: Uint8Array): string | undefined {
  const result = guardComponent(bytes);
  return result.ok ? undefined : result.error.message;
}

describe('A10, A12: what a component may be', () => {
  test('an empty one is let through: the transpiler says the rest', () => expect(refusal(component())).toBeUndefined());
  test.each(["x'];evil();['", 'a\\', 'a\nb', '`${evil}`', '"', '{', 'a\0', 'é'])(
    'a core export called %j is refused',
    (name) => {
      expect(refusal(component(section(1, [...exporting(name)])))).toMatch(/outside the alphabet/);
    },
  );
  test('also in a nested component', () =>
    expect(refusal(component(section(4, [...component(section(1, [...exporting("'")]))])))).toMatch(
      /outside the alphabet/,
    ));
  test('also as the name of an alias or a core instance', () => {
    expect(refusal(component(section(6, [1, 0, 0, 1, 0, ...text("'")])))).toMatch(/outside the alphabet/);
    expect(refusal(component(section(2, [1, 1, 1, ...text("'"), 0, 0])))).toMatch(/outside the alphabet/);
  });
  test('a plain name passes', () =>
    expect(refusal(component(section(1, [...exporting('cm32p2|wasi:cli/exit@0.2|exit')])))).toBeUndefined());
  test.each([
    'wasi:sockets/tcp@0.2.0',
    'wasi:http/outgoing-handler@0.2.0',
    'runloop:agent/root@0.1.0',
    'evil:x/y@1.0.0',
    'fs',
  ])('the import %s is refused', (name) => expect(refusal(component(importing(name)))).toMatch(/which no agent may/));
  test.each(['runloop:agent/model@0.1.0', 'wasi:io/streams@0.2.3'])('the import %s is let through', (name) =>
    expect(refusal(component(importing(name)))).toBeUndefined(),
  );
  test('size', () => expect(refusal(new Uint8Array(componentBytesMax + 1))).toMatch(/more than/));
  test('parts', () => {
    const parts = Array.from({ length: componentPartsMax + 1 }, () => section(1, [...module()]));
    expect(refusal(component(...parts))).toMatch(/more than 256 parts/);
  });
  test('the length of a name', () =>
    expect(refusal(component(section(1, [...exporting('a'.repeat(257))])))).toMatch(/longer than 256/));
});

describe('whatever the bytes', () => {
  let bench: Bench;
  let built: Bundle;
  let bytes: Uint8Array;
  beforeAll(async () => {
    bench = await workbench();
    built = await buildTestAgent(bench, 'plain', { body: 'return {};' });
    bytes = await readFile(built.component.path);
  });
  afterAll(() => bench[Symbol.asyncDispose]());

  test('a built agent passes', () => expect(refusal(bytes)).toBeUndefined());
  test('guard and meter never throw, on bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (random) => {
        for (const preamble of [corePreamble, componentPreamble]) {
          const binary = Uint8Array.from([...preamble, ...random]);
          guardComponent(binary);
          guardModule(binary);
          instrument(binary, { memoryBytes: 2 ** 20, fuel: 1n });
        }
      }),
    );
  });
  test('nor on a component with one byte changed or its end cut', () => {
    fc.assert(
      fc.property(fc.nat(8192), fc.nat(255), fc.boolean(), (at, value, cut) => {
        const copy = cut ? bytes.slice(0, at) : bytes.slice(0, 16_384);
        if (!cut) copy[at] = value;
        guardComponent(copy);
      }),
    );
  });
});
