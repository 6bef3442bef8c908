/**
 * An agent's TypeScript into a component: one JavaScript module by rolldown, then QuickJS or StarlingMonkey around it.
 *
 * The entry around the agent is written here: it imports the world's interfaces and binds them to the agent's definition.
 * Runs in the builder process alone.
 */
import { mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { rolldown } from 'rolldown';
import type { BuilderAnswer, BuildJob } from '../builder-job.ts';
import { engines } from './engines.ts';
import { buildMessage } from './build-message.ts';
import { packageOf, toolPackage } from './packages.ts';

const sdkName = '@runloop/agent';
const entryId = '\0runloop-entry';
const interfaces: readonly string[] = 'log run model kb http exec tools secrets mailbox mail fs clock'.split(' ');

function entrySource(agent: string, version: string): string {
  return [
    ...interfaces.map((name) => `import * as ${name} from 'runloop:agent/${name}${version}';`),
    `import { bindAgent } from ${JSON.stringify(sdkName)};`,
    `import agent from ${JSON.stringify(agent)};`,
    `export const handle = bindAgent(agent, { ${interfaces.join(', ')} });`,
  ].join('\n');
}

export async function buildComponent(job: BuildJob): Promise<BuilderAnswer> {
  try {
    return await build(job);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { ok: false, code: 'BuildFailed', message: buildMessage(message, job.dir, job.sdkDir).slice(0, 4000) };
  }
}

async function build(job: BuildJob): Promise<BuilderAnswer> {
  const engine = engines[job.backend];
  const bundle = await rolldown({
    input: entryId,
    cwd: job.dir,
    platform: 'neutral',
    external: /^runloop:agent\//,
    logLevel: 'silent',
    resolve: {
      alias: { [sdkName]: join(job.sdkDir, job.fromSource ? 'src/index.ts' : 'dist/index.js') },
      conditionNames: [...(job.fromSource ? ['source'] : []), 'import', 'default'],
      mainFields: ['module', 'main'],
    },
    plugins: [
      {
        name: 'runloop-entry',
        resolveId: (id: string) => (id === entryId ? id : null),
        load: (id: string) => (id === entryId ? entrySource(job.entry, engine.importVersion) : null),
      },
    ],
  });
  const { output } = await bundle.generate({ format: 'esm', codeSplitting: false, minify: false });
  await bundle.close();
  const chunk = output[0];
  const foreign = chunk.imports.filter((name) => !name.startsWith('runloop:agent/'));
  if (foreign.length > 0) {
    const message = `an agent cannot import ${foreign.map((name) => `"${name}"`).join(', ')}: there is no Node in a cell`;
    return { ok: false, code: 'BuildFailed', message };
  }
  const component = await engine.componentize(chunk.code, join(job.sdkDir, 'wit'));
  mkdirSync(dirname(job.out), { recursive: true });
  writeFileSync(job.out, component);
  const own = realpathSync(job.dir);
  const inside = Object.entries(chunk.modules).flatMap(([path, { renderedLength }]) =>
    renderedLength > 0 && !isBelow(path, own) ? (packageOf(path) ?? []) : [],
  );
  const around = toolPackage(engine.specifier);
  const parts = { bundled: [...inside, ...around], tools: [...toolPackage('rolldown'), ...around] };
  return { ok: true, bytes: component.length, parts };
}

/** The agent's own source, what it has installed left aside. */
function isBelow(path: string, dir: string): boolean {
  return path.startsWith(`${dir}/`) && !path.slice(dir.length).includes('/node_modules/');
}
