/**
 * What a bundle is made of, as a CycloneDX 1.6 document: `SBOM` beside the manifest, listed and signed with everything else.
 *
 * 1. The same parts give the same bytes: no time, no serial number, everything in the order of its name. The component's
 *    digest is in the signed list and not here, for QuickJS makes another snapshot in each build.
 * 2. It says what the builder has seen: the packages whose code went into the component, and what was built with what.
 *    Of a program that its author compiled elsewhere it knows the component alone.
 */
import type { Part, Parts } from './builder-job.ts';

export const sbomName = 'SBOM';

export function billOfMaterials(
  { name, version }: { readonly name: string; readonly version: string },
  { bundled, tools }: Parts,
): string {
  const self = `${name}@${version}`;
  const libraries = inOrder(bundled).map((part) => ({ type: 'library', 'bom-ref': purl(part), ...described(part) }));
  const document = {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      tools: { components: inOrder(tools).map((part) => ({ type: 'application', ...described(part) })) },
      component: { type: 'application', 'bom-ref': self, name, version },
    },
    components: libraries,
    dependencies: [{ ref: self, dependsOn: libraries.map((one) => one['bom-ref']) }],
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

/** A tool that is no npm package has no package URL. */
function described(part: Part): object {
  const { name, version } = part;
  if (part.from !== 'npm') return { name, version };
  const [group, plain] = name.startsWith('@') ? name.split('/', 2) : [undefined, name];
  return { ...(group === undefined ? {} : { group }), name: plain ?? name, version, purl: purl(part) };
}

function purl({ name, version }: Part): string {
  return `pkg:npm/${name.replace('@', '%40')}@${encodeURIComponent(version)}`;
}

function inOrder(parts: readonly Part[]): readonly Part[] {
  const unique = new Map(parts.map((part) => [`${part.name}\0${part.version}`, part]));
  return [...unique].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, part]) => part);
}
