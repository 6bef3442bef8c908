/** The part of the WebAssembly JavaScript interface that a cell uses; Node’s own types leave it to the DOM’s. */
// oxlint-disable typescript/no-extraneous-class -- declarations of the platform's own classes
export {};
declare global {
  namespace WebAssembly {
    type Imports = { readonly [module: string]: { readonly [name: string]: unknown } };
    class Module {
      constructor(bytes: Uint8Array);
    }
    class Instance {
      constructor(module: Module, imports?: Imports);
      readonly exports: { readonly [name: string]: unknown };
    }
    class Memory {
      constructor(descriptor: { initial: number; maximum?: number });
      readonly buffer: ArrayBuffer;
    }
    class Global {
      constructor(descriptor: { value: string; mutable: boolean }, value?: unknown);
      value: unknown;
    }
  }
}
