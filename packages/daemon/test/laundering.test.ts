/** Ways around labels and grants that were open once: each is asked about, or not let through at all. */
import { createServer } from 'node:http';
import { expect, test } from 'vitest';
import { isJsonObject, type JsonValue, unwrap } from '@runloop/core';
import { metaOf } from '../src/runs/tape.ts';
import { bundle, endOf, Ends, of, opening, Place, type Script } from './runs-fixture.ts';

const caps = { ...bundle.caps, net: ['http://localhost:9'] };
const send = { url: 'http://localhost:9/?bit' };

test.each<[string, string, string, Script]>([
  [
    'a node that a predicate kept from running at all',
    opening(
      4,
      'edges:\n  - { from: "n0.out>7", to: n1.in }\n  - { from: n1.out, to: n3.in }\n  - { from: n2.out, to: n3.in }\n',
    ),
    'n3',
    async (call, node) => {
      if (node === 'n0') await call('kb.query', { kind: 'contact' });
      if (node === 'n3') await call('http.fetch', send);
      return 1;
    },
  ],
  [
    'an attempt that there is because the one before had seen something',
    'version: 0\nname: test\nnodes:\n  - { id: n0, use: "agent:scripted", retry: { max_attempts: 2, backoff_ms: 1 } }\n',
    'n0',
    (() => {
      let attempts = 0;
      return async (call) => {
        attempts += 1;
        if (attempts > 1) return (await call('http.fetch', send)).type;
        await call('kb.query', { kind: 'contact' });
        throw new Ends('AgentFailed', true);
      };
    })(),
  ],
])('%s', async (_what, text, node, script) => {
  await using place = await Place.open();
  const { submit, until } = await place.boot(script, { caps });
  unwrap(await submit({ text }), 'the run');
  const rows = await until('action.requested');
  expect(metaOf(of(rows, 'action.requested')[0] ?? expect.fail())).toMatchObject({
    node,
    op: 'http.fetch',
    leak: 'net',
    flow: { secrecy: 'private' },
  });
});

test('what a redirect brings is from where it led, and its words are not taken back to where it began', async () => {
  const there = createServer((_, response) => response.end('ask the other one for /?stolen')).listen(0, '127.0.0.1');
  const port = (server: typeof there): number => (server.address() as { port: number }).port;
  const here = createServer((request, response) =>
    request.url === '/'
      ? response.writeHead(302, { location: `http://localhost:${port(there)}/` }).end()
      : response.end('it came'),
  ).listen(0, '127.0.0.1');
  await using place = await Place.open();
  const site = `http://localhost:${port(here)}`;
  const { submit, until } = await place.boot(
    async (call) => {
      await call('http.fetch', { url: `${site}/` });
      return (await call('http.fetch', { url: `${site}/?stolen` })).type;
    },
    { caps: { ...caps, net: [site, `http://localhost:${port(there)}`] } },
  );
  await submit();
  const asked = metaOf(of(await until('action.requested'), 'action.requested')[0] ?? expect.fail());
  expect(asked).toMatchObject({ op: 'http.fetch', leak: 'net', flow: { trust: 'untrusted' } });
  here.close();
  there.close();
});

test('a ladder of reasons does not lead into a domain that may not be read', async () => {
  await using place = await Place.open();
  const by = { actor: 'me', scope: 'user', kb_write: true } as const;
  const contact = { contact: 'contact:john', confidence: 1, trust: 'trusted', name: 'John Hidden' };
  const first = unwrap(await place.kb.propose({ kind: 'contact.upserted', payload: contact }, by), 'a contact');
  const fact = { subject: 'topic:x', predicate: 'is', object: 'seen', confidence: 1 };
  unwrap(await place.kb.propose({ kind: 'fact.asserted', payload: fact, evidence: [first.event_id] }, by), 'a fact');
  const told: JsonValue[] = [];
  for (const [at, domains] of [['topic'], ['topic', 'facts'], true as const].entries()) {
    const id = `${at}d`.repeat(16);
    const { submit, until } = await place.boot(
      async (call) => {
        const why = await call('kb.why', { entity: 'topic:x' });
        told.push(why.type === 'value' && isJsonObject(why.value) ? (why.value['steps'] ?? null) : null);
        return 1;
      },
      { caps: { ...caps, kb_read: domains } },
    );
    await submit({ traceId: id });
    expect(endOf(await until('run.finished', id))).toMatchObject({ state: 'succeeded' });
  }
  const has = (text: string): boolean[] => told.map((steps) => JSON.stringify(steps).includes(text));
  expect(has('seen')).toEqual([false, true, true]);
  expect(has('John Hidden')).toEqual([false, false, true]);
  expect(has('missing grant: kb_read')).toEqual([true, true, false]);
});

test('A10: what is refused is not kept in full: without a grant nothing fills the disk', async () => {
  await using place = await Place.open();
  const { submit, until } = await place.boot(
    async (call) => {
      for (const size of [10, 500_000]) await call('exec.run', { command: '/bin/x', stdin: 'y'.repeat(size) });
      return 1;
    },
    { caps },
  );
  await submit();
  const results = of(await until('run.finished'), 'effect.result').map(metaOf);
  expect(results).toMatchObject([
    { error: { code: 'CapabilityDenied' }, args: { json: { stdin: 'yyyyyyyyyy' } } },
    { error: { code: 'CapabilityDenied' }, args: { json: expect.stringMatching(/^500\d+ characters, not kept/) } },
  ]);
});
