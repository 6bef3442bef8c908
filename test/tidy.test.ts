/**
 * The house rules as a test: the only arrows allowed between packages, and what no source file may hold.
 *
 * 1. The arrow table below is the law that ARCHITECTURE.md explains; a new arrow is a decision, not an accident.
 * 2. Every rule names the file and line that breaks it.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '..');

/** Package → the packages that it may import. */
const arrows: { readonly [name: string]: readonly string[] } = {
  core: [],
  rmp: ['core'],
  bus: ['core', 'rmp'],
  router: ['core'],
  openings: ['core'],
  kb: ['core'],
  broker: ['core'],
  runtime: ['core', 'rmp'],
  sdk: ['core', 'rmp'],
  'agent-sdk': [],
  daemon: ['core', 'rmp', 'bus', 'router', 'openings', 'kb', 'broker', 'runtime', 'sdk'],
  cli: ['core', 'sdk', 'router', 'openings', 'daemon'],
  agtop: ['core', 'sdk'],
  testkit: ['core', 'rmp'],
};

/** Files that own the process and may therefore read its clock, environment and randomness. */
const edges: readonly RegExp[] = [
  /\/src\/main\.ts$/,
  /\/src\/[a-z-]+-main\.ts$/,
  /packages\/core\/src\/system\.ts$/,
  /packages\/core\/src\/module-thread\.ts$/,
  /packages\/cli\/src\/environment\.ts$/,
];

const banned: readonly { readonly what: string; readonly pattern: RegExp }[] = [
  { what: 'Date.now (take a Clock)', pattern: /\bDate\.now\b|\bnew Date\(\)/ },
  { what: 'Math.random (take a Random)', pattern: /\bMath\.random\b/ },
  { what: 'process.env (settings arrive as arguments)', pattern: /\bprocess\.env\b/ },
  { what: 'setTimeout or setInterval (take a Clock)', pattern: /\bset(?:Timeout|Interval)\(/ },
  { what: 'performance.now (take a Clock)', pattern: /\bperformance\.now\b/ },
  { what: 'a thread of its own (take startModuleThread)', pattern: /\bnew (?:\w+\.)?Worker\(/ },
];

const packageOf = (name: string): string => (name === 'agent-sdk' ? '@runloop/agent' : `@runloop/${name}`);
const folderOf = (specifier: string): string | undefined => {
  const bare = specifier.split('/').slice(0, 2).join('/');
  return Object.keys(arrows).find((name) => packageOf(name) === bare);
};

function filesUnder(folder: string, keep: (path: string) => boolean): string[] {
  const found: string[] = [];
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.name === 'node_modules' || entry.name === 'dist' || entry.name === '.git') continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) found.push(...filesUnder(path, keep));
    else if (keep(path)) found.push(path);
  }
  return found.sort();
}

const isSource = (path: string): boolean => path.endsWith('.ts') && !path.endsWith('.d.ts');
const sources = filesUnder(join(root, 'packages'), (path) => isSource(path) && path.includes('/src/'));
const everything = ['packages', 'agents', 'test', 'bench', 'scripts'].flatMap((folder) =>
  filesUnder(join(root, folder), (path) => isSource(path) || path.endsWith('.mjs')),
);
const name = (path: string): string => relative(root, path);
const withoutComments = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ' ')).replace(/(^|[^:'"`])\/\/.*$/gm, '$1');

function imports(text: string): string[] {
  const found: string[] = [];
  for (const match of text.matchAll(/\b(?:from|import)\s*\(?\s*'([^']+)'/g)) found.push(match[1] ?? '');
  return found;
}

describe('arrows', () => {
  test('every package of the table exists, and no other', () => {
    const folders = readdirSync(join(root, 'packages')).filter((entry) =>
      statSync(join(root, 'packages', entry)).isDirectory(),
    );
    expect(folders.sort()).toEqual(Object.keys(arrows).sort());
  });

  test('sources import only what the table allows', () => {
    const wrong: string[] = [];
    for (const path of sources) {
      const from = name(path).split('/')[1] ?? '';
      for (const specifier of imports(readFileSync(path, 'utf8'))) {
        const to = folderOf(specifier);
        if (to !== undefined && !(arrows[from] ?? []).includes(to)) wrong.push(`${name(path)} imports ${specifier}`);
        if (specifier.startsWith('.') && !join(path, '..', specifier).startsWith(join(root, 'packages', from, '/'))) {
          wrong.push(`${name(path)} leaves its package by ${specifier}`);
        }
        if (
          to !== undefined &&
          specifier.startsWith('@runloop/') &&
          specifier.split('/').length > 2 &&
          !allowedDoors.has(specifier)
        ) {
          wrong.push(`${name(path)} goes past the door: ${specifier}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  test('no file leads back to itself, be it by types alone', () => {
    const ends = new Map(
      sources.map((path) => [
        path,
        imports(readFileSync(path, 'utf8')).flatMap((to) => (to.startsWith('.') ? [join(path, '..', to)] : [])),
      ]),
    );
    const done = new Set<string>();
    const circles: string[] = [];
    const walk = (path: string, way: readonly string[]): void => {
      if (way.includes(path)) circles.push([...way.slice(way.indexOf(path)), path].map(name).join(' -> '));
      if (way.includes(path) || done.has(path)) return;
      for (const next of ends.get(path) ?? []) walk(next, [...way, path]);
      done.add(path);
    };
    for (const path of sources) walk(path, []);
    expect(circles).toEqual([]);
  });

  test('each package.json declares exactly the arrows that are allowed', () => {
    const wrong: string[] = [];
    for (const [folder, allowed] of Object.entries(arrows)) {
      const manifest = JSON.parse(readFileSync(join(root, 'packages', folder, 'package.json'), 'utf8')) as {
        name: string;
        dependencies?: Record<string, string>;
      };
      if (manifest.name !== packageOf(folder)) wrong.push(`${folder} is called ${manifest.name}`);
      for (const dependency of Object.keys(manifest.dependencies ?? {})) {
        const to = folderOf(dependency);
        if (to !== undefined && !allowed.includes(to)) wrong.push(`${folder} depends on ${dependency}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test('the table has no cycle', () => {
    const done = new Set<string>();
    const visit = (node: string, path: readonly string[]): void => {
      expect(path, `cycle: ${[...path, node].join(' → ')}`).not.toContain(node);
      if (done.has(node)) return;
      for (const next of arrows[node] ?? []) visit(next, [...path, node]);
      done.add(node);
    };
    for (const node of Object.keys(arrows)) visit(node, []);
  });

  test('agents import nothing of ours but the agent SDK', () => {
    const wrong = filesUnder(join(root, 'agents'), (path) => isSource(path) && path.includes('/src/')).flatMap((path) =>
      imports(readFileSync(path, 'utf8'))
        .filter((specifier) => specifier.startsWith('@runloop/') && specifier !== '@runloop/agent')
        .map((specifier) => `${name(path)} imports ${specifier}`),
    );
    expect(wrong).toEqual([]);
  });
});

/** Doors beside index.ts, each for a reason that its module comment gives. */
const allowedDoors: ReadonlySet<string> = new Set([
  '@runloop/core/config',
  // A simulator that no daemon loads.
  '@runloop/daemon/torture',
]);

describe('files', () => {
  test('each source opens with a comment that says what it is', () => {
    expect(
      sources.filter((path) => !/^(?:#!.*\n)?\/\*\*\n? ?\*? ?\S/.test(readFileSync(path, 'utf8'))).map(name),
    ).toEqual([]);
  });

  test('none is over 500 lines', () => {
    expect(everything.filter((path) => readFileSync(path, 'utf8').split('\n').length > 501).map(name)).toEqual([]);
  });

  test('none is named for nothing', () => {
    expect(
      sources.filter((path) => /\/(utils?|helpers?|common|manager|handler|service|misc)\.ts$/.test(path)).map(name),
    ).toEqual([]);
  });

  test('no banned call outside the edges', () => {
    const wrong: string[] = [];
    for (const path of sources) {
      if (edges.some((edge) => edge.test(path))) continue;
      withoutComments(readFileSync(path, 'utf8'))
        .split('\n')
        .forEach((line, index) => {
          for (const { what, pattern } of banned)
            if (pattern.test(line)) wrong.push(`${name(path)}:${index + 1}: ${what}`);
        });
    }
    expect(wrong).toEqual([]);
  });

  test('every TODO has an owner', () => {
    const wrong = everything
      .filter((path) => !path.endsWith('tidy.test.ts'))
      .flatMap((path) =>
        readFileSync(path, 'utf8')
          .split('\n')
          .flatMap((line, index) => (/\b(?:TODO|FIXME)\b(?!\([a-z])/.test(line) ? [`${name(path)}:${index + 1}`] : [])),
      );
    expect(wrong).toEqual([]);
  });
});

describe('invariants', () => {
  test('each invariant of ARCHITECTURE.md is named by a test', () => {
    const architecture = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8');
    const declared = [...architecture.matchAll(/^- \*\*(A\d+)\*\*/gm)].map((match) => match[1] ?? '');
    expect(declared.length).toBeGreaterThan(0);
    const tests = filesUnder(root, (path) => path.endsWith('.test.ts') && !path.endsWith('tidy.test.ts')).map((path) =>
      readFileSync(path, 'utf8'),
    );
    // A1 and A3 are the arrow table itself, which stands in this file.
    const here = new Set(['A1', 'A3']);
    expect(
      declared.filter((id) => !here.has(id) && !tests.some((text) => new RegExp(`\\b${id}\\b`).test(text))),
    ).toEqual([]);
  });
});
