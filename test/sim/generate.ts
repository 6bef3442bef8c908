/**
 * Openings out of a seed: layered DAGs with predicates, failures that are caught, retries, approvals, calls that may happen
 * once, model calls and proposals to the knowledge base.
 */
import { fraction, type JsonObject, type Random } from '../../packages/core/src/index.ts';
import type { Doing, Step } from './scripted.ts';

/** An opening, and those that it nests, by name. */
export type Generated = { readonly text: string; readonly nested: ReadonlyMap<string, string> };

const depthMax = 3;

/** Of `size` nodes, those of nested openings included, but for the nodes that catch failures. */
export function generate(random: Random, size: number): Generated {
  const nested = new Map<string, string>();
  return { text: JSON.stringify(openingOf(random, 'generated', size, nested, 1)), nested };
}

function openingOf(random: Random, name: string, size: number, nested: Map<string, string>, depth: number): JsonObject {
  const pick = (max: number): number => Math.floor(fraction(random) * max);
  const nodes: JsonObject[] = [];
  const edges: JsonObject[] = [];
  const groups = new Set<number>();
  for (let i = 0, left = size; left > 0; i += 1) {
    const inner =
      depth < depthMax && i > 0 && left > 6 && fraction(random) < 0.15 ? 2 + pick(Math.min(left - 3, 12)) : 0;
    left -= Math.max(1, inner);
    if (inner > 0) {
      const inside = `inner${nested.size}`;
      // Its place in the map comes before those that it nests itself.
      nested.set(inside, '');
      nested.set(inside, JSON.stringify(openingOf(random, inside, inner, nested, depth + 1)));
      nodes.push({ id: `n${i}`, use: `opening:${inside}` });
      groups.add(i);
    } else nodes.push(...leaf(random, i, edges));
    const from = Math.min(i, 1 + pick(3));
    const sources = new Set(Array.from({ length: i === 0 ? 0 : from }, () => i - 1 - pick(Math.min(i, 8))));
    for (const [nth, source] of [...sources].sort((a, b) => a - b).entries()) {
      // An opening has one way in, and its ways out are those of all its ends. Where all edges of a node are judged much is skipped.
      const judged = fraction(random) < (nth === 0 ? 0.05 : 0.3) && !groups.has(source) && !groups.has(i);
      edges.push(
        judged ? { from: `n${source}.ok==true`, to: `n${i}.more` } : { from: `n${source}.out`, to: `n${i}.in` },
      );
    }
  }
  return { version: 0, name, ...(depth === 1 ? { policy: { max_parallel: 4 } } : {}), nodes, edges };
}

/** A node that does something, and where that may fail for good another that catches it, so that the run goes on. */
function leaf(random: Random, i: number, edges: JsonObject[]): readonly JsonObject[] {
  const roll = (): number => fraction(random);
  const pick = (max: number): number => Math.floor(roll() * max);
  const steps: Step[] = [];
  while (roll() < 0.55 && steps.length < 3) steps.push(stepOf(pick(5), i, steps.length));
  const began = steps.some(({ op }) => op === 'mail.send' || op === 'http.fetch');
  const fails = roll() < 0.15 ? 1 + pick(2) : 0;
  const dead = roll() < 0.06 && i > 0;
  const doing: Doing = { steps, fails: dead ? 9 : fails, ok: roll() < 0.7 };
  const node = {
    id: `n${i}`,
    use: 'agent:scripted',
    with: doing,
    ...(fails > 0 || dead ? { retry: { max_attempts: dead ? 2 : 3, backoff_ms: 100 + pick(900) } } : {}),
  };
  if (!dead && !began) return [node];
  edges.push({ from: `n${i}.err`, to: `c${i}.in` });
  return [node, { id: `c${i}`, use: 'agent:scripted', with: {} }];
}

function stepOf(kind: number, node: number, step: number): Step {
  const name = `n${node} s${step}`;
  switch (kind) {
    case 0:
      return { op: 'mail.send', args: { to: ['john@example.com'], subject: name, body: 'hello' } };
    case 1:
      return { op: 'http.fetch', args: { url: 'https://api.example.com/', method: 'POST', body: name } };
    case 2:
      return { op: 'model.complete', args: { messages: [{ role: 'user', content: name }], max_tokens: 8 } };
    case 3:
      return {
        op: 'kb.propose',
        args: { kind: 'fact.asserted', payload: { subject: name, predicate: 'is', object: 'so' } },
      };
    default:
      return { op: 'kb.search', args: { text: name } };
  }
}
