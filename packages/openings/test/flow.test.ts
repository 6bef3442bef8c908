/** What is refused before a run, and what `rlp plan` says of where data can go. */
import { expect, test } from 'vitest';
import { type AgentInterface, flowsOf, graphOf, parseOpening, validateOpening } from '../src/index.ts';

const agent = (name: string, flow: NonNullable<AgentInterface['flow']>): [string, AgentInterface] => [
  name,
  { name, in: { in: ['*'] }, out: { out: ['*'] }, flow },
];
const agents = new Map([
  agent('contacts', { brings: [{ what: 'kb:contacts', private: true }], sinks: [] }),
  agent('web', { brings: [{ what: 'net:pages.example', untrusted: true }], sinks: ['net'] }),
  agent('mailer', { brings: [], sinks: ['mail'] }),
  agent('plain', { brings: [], sinks: [] }),
  agent('redactor', { brings: [], sinks: [], declassifies: true }),
]);

const opening = (nodes: readonly string[], edges: readonly string[], policy = ''): string =>
  [
    'version: 0',
    'name: t',
    ...(policy === '' ? [] : [`policy: { ${policy} }`]),
    'nodes:',
    ...nodes.map((name) => `  - { id: ${name}, use: "agent:${name}" }`),
    `edges: [${edges
      .map((edge) => {
        const [from, to] = edge.split('>');
        return `{ from: ${from}.out, to: ${to}.in }`;
      })
      .join(', ')}]`,
  ].join('\n');

function errorsOf(text: string): string[] {
  const parsed = parseOpening('o.yaml', text);
  validateOpening(parsed, agents, {});
  return parsed.diagnostics.list
    .filter(({ severity }) => severity === 'error')
    .map(({ message, line }) => `${line}: ${message}`);
}

const all = ['contacts', 'web', 'plain', 'mailer'];
const both = ['contacts>plain', 'web>plain', 'plain>mailer'];
test.each<[string, readonly string[], readonly string[], string, RegExp | undefined]>([
  ['confirmed by default', all, both, '', undefined],
  ['confirmed by name', all, both, 'confirm_external: true', undefined],
  [
    'unwatched',
    all,
    both,
    'confirm_external: false',
    /8: node "mailer" can send private data, kb:contacts \(contacts\), on the word of net:pages.example \(web\)/,
  ],
  ['unwatched, with a reason', all, both, 'confirm_external: false, allow_flow: "weekly report"', undefined],
  ['private alone', ['contacts', 'mailer'], ['contacts>mailer'], 'confirm_external: false', undefined],
  ['untrusted alone', ['web', 'mailer'], ['web>mailer'], 'confirm_external: false', undefined],
  [
    'through a declassifier',
    ['contacts', 'redactor', 'web', 'mailer'],
    ['contacts>redactor', 'redactor>mailer', 'web>mailer'],
    'confirm_external: false',
    undefined,
  ],
  [
    'a web reader that was given what is private',
    ['contacts', 'web'],
    ['contacts>web'],
    'confirm_external: false',
    /node "web" can send private data/,
  ],
])('a path from a stranger’s words, with private data, to a sink: %s', (_, nodes, edges, policy, expected) => {
  const errors = errorsOf(opening(nodes, edges, policy));
  if (expected === undefined) expect(errors).toEqual([]);
  else expect(errors.join('\n')).toMatch(expected);
});

test('labels reach every node behind, each source with the node that read it', () => {
  const parsed = parseOpening('o.yaml', opening(all, both));
  const checked = validateOpening(parsed, agents, {}) ?? expect.fail();
  const flows = flowsOf(checked, graphOf(checked), agents);
  expect(flows.map(({ label, sinks, confirmed }) => [label.trust, label.secrecy, sinks.join(), confirmed])).toEqual([
    ['trusted', 'private', '', true],
    ['untrusted', 'public', 'net', true],
    ['untrusted', 'private', '', true],
    ['untrusted', 'private', 'mail', true],
  ]);
  expect(flows[3]?.label.sources.map(({ what, node }) => `${what}@${node}`)).toEqual([
    'kb:contacts@contacts',
    'net:pages.example@web',
  ]);
});
