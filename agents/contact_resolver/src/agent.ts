/**
 * Finds the contact that a name or address means.
 *
 * 1. What is not known is never made up: a stub without an address is proposed with trust `low`, and the answer says so.
 */
import { AgentFailure, type Host, type JsonObject, type JsonValue, defineAgent } from '@runloop/agent';

type Contact = {
  readonly contact: string;
  readonly name: string;
  readonly email?: string;
  readonly confidence: number;
  readonly trust: 'trusted' | 'low';
};

const candidatesMax = 5;

export default defineAgent({
  handle(request, host) {
    const asked = request.with['query'] ?? request.inputs['in']?.[0];
    const query = text(typeof asked === 'object' && asked !== null ? (asked as JsonObject)['query'] : asked);
    if (query === '') throw new AgentFailure('there is no query: give with.query', { retryable: false });
    const found = rows(host.kb.query({ kind: 'contact', text: query, max: candidatesMax }))
      .map((row) => score(row, query))
      .sort((a, b) => b.confidence - a.confidence);
    const contacts = found.length > 0 ? found : [propose(host, query)];
    const value = { query, stub: found.length === 0, contacts };
    return { out: [{ type: 'toolresult.contacts.resolved.v1', value }] };
  },
});

function text(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value.trim() : '';
}

function rows(answer: JsonValue): readonly JsonObject[] {
  const list = (answer as JsonObject)['rows'];
  return Array.isArray(list) ? (list as readonly JsonObject[]) : [];
}

/** How well a row fits: its own confidence, halved where the name only contains the query. */
function score(row: JsonObject, query: string): Contact {
  const name = text(row['name']);
  const email = text(row['email']);
  const own = typeof row['confidence'] === 'number' ? row['confidence'] : 0.5;
  const asked = query.toLowerCase();
  const exact = [name, email, text(row['contact']).replace(/^contact:/, ''), ...name.split(/\s+/)].some(
    (candidate) => candidate.toLowerCase() === asked,
  );
  return {
    contact: text(row['contact']),
    name: name === '' ? query : name,
    ...(email === '' ? {} : { email }),
    confidence: exact ? own : own / 2,
    trust: row['trust'] === 'trusted' ? 'trusted' : 'low',
  };
}

function propose(host: Host, query: string): Contact {
  const contact = `contact:${query
    .toLowerCase()
    .replace(/[^\p{L}\p{N}@.]+/gu, '-')
    .slice(0, 100)}`;
  const isAddress = /^[^\s@]+@[^\s@]+$/.test(query);
  const stub = { contact, name: query, ...(isAddress ? { email: query } : {}), confidence: 0.1, trust: 'low' } as const;
  host.kb.propose({ kind: 'contact.upserted', payload: stub, dedupe_key: `stub:${contact}` });
  host.log('warn', `no contact matches "${query}": proposed a stub of low trust`);
  return stub;
}
