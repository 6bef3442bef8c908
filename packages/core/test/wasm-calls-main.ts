/** A thread whose WASM calls JavaScript so often that V8 would compile that call: (func (export "f") (call 0)). */
const bytes = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 2, 7, 1, 1, 109, 1, 102, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 1, 10,
  6, 1, 4, 0, 16, 0, 11,
];
type Wasm = {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: { readonly f: () => void } };
};
const { WebAssembly: wasm } = globalThis as unknown as { readonly WebAssembly: Wasm };
let calls = 0;
const { f } = new wasm.Instance(new wasm.Module(Uint8Array.from(bytes)), { m: { f: () => (calls += 1) } }).exports;
for (let i = 0; i < 10_000; i += 1) f();
process.stdout.write(`${calls}\n`);
