/**
 * The engines that JavaScript can be put into: one module of source into a component of the world `agent`.
 *
 * StarlingMonkey is loaded where an agent asks for it (decision 0603). Neither has `wasi:http`.
 */
import { mkdtempDisposableSync, writeFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Backend } from '../manifest.ts';

type Engine = {
  readonly specifier: string;
  /** What it wants behind the name of an interface that is imported. */
  readonly importVersion: '' | '@0.1.0';
  readonly componentize: (source: string, witPath: string) => Promise<Uint8Array>;
};

export const engines: { readonly [backend in Backend]: Engine } = {
  quickjs: {
    specifier: 'componentize-qjs',
    importVersion: '',
    async componentize(jsSource, witPath) {
      const { componentize } = await import('componentize-qjs');
      const { component } = await componentize({ witPath, jsSource, world: 'agent', sync: true });
      return component;
    },
  },
  starlingmonkey: {
    specifier: '@bytecodealliance/componentize-js',
    importVersion: '@0.1.0',
    async componentize(source, witPath) {
      using _hooks = withItsShim();
      const { componentize } = await import('@bytecodealliance/componentize-js');
      using scratch = mkdtempDisposableSync(join(tmpdir(), 'runloop-engine-'));
      const sourcePath = join(scratch.path, 'agent.js');
      writeFileSync(sourcePath, source);
      // It names the source relative to the working directory, and cuts the name wrongly where that is the root.
      process.chdir(scratch.path);
      const disableFeatures: ('http' | 'fetch-event')[] = ['http', 'fetch-event'];
      const { component } = await componentize({ sourcePath, witPath, worldName: 'agent', disableFeatures });
      return component;
    },
  },
};

/** It imports a package that it does not declare; one that we use declares it, and so it is found from there. */
function withItsShim(): Disposable {
  const parentURL = import.meta.resolve('@bytecodealliance/jco');
  const hooks = registerHooks({
    resolve: (specifier, context, next) =>
      specifier.startsWith('@bytecodealliance/preview2-shim')
        ? next(specifier, { ...context, parentURL })
        : next(specifier, context),
  });
  return { [Symbol.dispose]: () => hooks.deregister() };
}
