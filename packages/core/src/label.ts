/**
 * Where a value comes from, as far as it matters for where it may go.
 *
 * 1. What is made of several values carries the union of their labels; nothing but a person or a pinned declassifier
 *    takes a label away, and nothing raises trust.
 * 2. Sources are names such as `kb:contacts` or `net:example.com`, each with the node that read it; they are for people.
 */
import { type JsonObject, type JsonValue, isJsonObject } from './json.ts';

export type Label = {
  /** Untrusted: somebody outside may have written it, with whatever intent. */
  readonly trust: 'trusted' | 'untrusted';
  /** Private: it is about the people and files of this machine. */
  readonly secrecy: 'public' | 'private';
  readonly sources: readonly LabelSource[];
};

export type LabelSource = {
  readonly what: string;
  readonly node?: string;
  readonly untrusted?: true;
  readonly private?: true;
};

/** Sources that a label names; of more, the label holds and the names are left out. */
export const labelSourcesMax = 32;
const sourceCharsMax = 200;

export const cleanLabel: Label = { trust: 'trusted', secrecy: 'public', sources: [] };

export function isClean({ trust, secrecy }: Label): boolean {
  return trust === 'trusted' && secrecy === 'public';
}

export function labelOf(what: string, kinds: { readonly untrusted?: boolean; readonly private?: boolean }): Label {
  const untrusted = kinds.untrusted === true;
  const isPrivate = kinds.private === true;
  if (!untrusted && !isPrivate) return cleanLabel;
  return {
    trust: untrusted ? 'untrusted' : 'trusted',
    secrecy: isPrivate ? 'private' : 'public',
    sources: [
      {
        what: what.slice(0, sourceCharsMax),
        ...(untrusted ? { untrusted: true as const } : {}),
        ...(isPrivate ? { private: true as const } : {}),
      },
    ],
  };
}

export function joinLabels(...labels: readonly Label[]): Label {
  const tainted = labels.filter((label) => !isClean(label));
  const [only] = tainted;
  if (only === undefined) return cleanLabel;
  if (tainted.length === 1) return only;
  const sources = new Map<string, LabelSource>();
  for (const label of tainted) {
    for (const source of label.sources) {
      if (sources.size < labelSourcesMax)
        sources.set(JSON.stringify([source.what, source.node, source.untrusted, source.private]), source);
    }
  }
  return {
    trust: tainted.some(({ trust }) => trust === 'untrusted') ? 'untrusted' : 'trusted',
    secrecy: tainted.some(({ secrecy }) => secrecy === 'private') ? 'private' : 'public',
    sources: [...sources.values()],
  };
}

/** The same label, its sources read by `node` where nobody is named yet. */
export function readBy(label: Label, node: string): Label {
  return {
    ...label,
    sources: label.sources.map((source) => (source.node === undefined ? { ...source, node } : source)),
  };
}

/** A label as it stands in an event; what is no label is the worst there is. */
export function readLabel(value: JsonValue | undefined): Label {
  if (value === undefined) return cleanLabel;
  if (!isJsonObject(value)) return labelOf('a label that cannot be read', { untrusted: true, private: true });
  const sources = Array.isArray(value['sources'])
    ? (value['sources'] as readonly JsonValue[]).filter(isJsonObject)
    : [];
  return {
    trust: value['trust'] === 'trusted' ? 'trusted' : 'untrusted',
    secrecy: value['secrecy'] === 'public' ? 'public' : 'private',
    sources: sources.slice(0, labelSourcesMax).map((source: JsonObject) => ({
      what: String(source['what']).slice(0, sourceCharsMax),
      ...(typeof source['node'] === 'string' ? { node: source['node'] } : {}),
      ...(source['untrusted'] === true ? { untrusted: true as const } : {}),
      ...(source['private'] === true ? { private: true as const } : {}),
    })),
  };
}
