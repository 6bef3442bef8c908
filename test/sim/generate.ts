/**
 * Openings out of a seed: layered DAGs with predicates, failures that are caught, retries, approvals, calls that may happen
 * once, model calls and proposals to the knowledge base.
 */
import { fraction, type JsonObject, type Random } from '../../packages/core/src/index.ts';
import type { Doing, Step } from './scripted.ts';

export function generate(random: Random, size: number): string {
  const roll = (): number => fraction(random);
  const pick = (max: number): number => Math.floor(roll() * max);
  const nodes: JsonObject[] = [];
  const edges: JsonObject[] = [];
  for (let i = 0; i < size; i += 1) {
    const steps: Step[] = [];
    while (roll() < 0.55 && steps.length < 3) steps.push(stepOf(pick(5), i, steps.length));
    const began = steps.some(({ op }) => op === 'mail.send' || op === 'http.fetch');
    const fails = roll() < 0.15 ? 1 + pick(2) : 0;
    const dead = roll() < 0.06 && i > 0;
    const doing: Doing = { steps, fails: dead ? 9 : fails, ok: roll() < 0.7 };
    nodes.push({
      id: `n${i}`,
      use: 'agent:scripted',
      with: doing,
      ...(fails > 0 || dead ? { retry: { max_attempts: dead ? 2 : 3, backoff_ms: 100 + pick(900) } } : {}),
    });
    const from = Math.min(i, 1 + pick(3));
    const sources = new Set(Array.from({ length: i === 0 ? 0 : from }, () => i - 1 - pick(Math.min(i, 8))));
    for (const source of [...sources].sort((a, b) => a - b)) {
      const when =
        roll() < 0.2 ? { from: `n${source}.ok==true`, to: `n${i}.more` } : { from: `n${source}.out`, to: `n${i}.in` };
      edges.push(when);
    }
    // What may fail for good is caught, so that the run goes on.
    if (dead || began) {
      nodes.push({ id: `c${i}`, use: 'agent:scripted', with: {} });
      edges.push({ from: `n${i}.err`, to: `c${i}.in` });
    }
  }
  return JSON.stringify({ version: 0, name: 'generated', policy: { max_parallel: 4 }, nodes, edges });
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
