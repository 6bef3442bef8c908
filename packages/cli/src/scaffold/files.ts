/**
 * The files of a new agent: they build, pass their own tests and run as they are.
 */
import type { Wish } from './wish.ts';
import { cSource, rustSource } from './programs.ts';

/** What agents import. */
const sdk = '@runloop/agent';

export type Files = { readonly [path: string]: string };

export function filesOf(wish: Wish): Files {
  const { name, language } = wish;
  const sources: Files =
    language === 'ts'
      ? { 'src/agent.ts': agentSource(wish), 'test/agent.test.ts': agentTest(wish), 'package.json': packageJson(name) }
      : language === 'c'
        ? { 'src/main.c': cSource }
        : { 'src/main.rs': rustSource };
  return {
    'manifest.toml': manifest(wish),
    'policy.caps': policy(wish),
    ...sources,
    ...(wish.model ? {} : { 'test/two_words.json': jsonCase }),
    'README.md': readme(wish),
    LICENSE: license(name),
    ...(wish.opening ? { [`${name}.yaml`]: opening(name) } : {}),
  };
}

function manifest({ name, language }: Wish): string {
  return `[agent]
name = "${name}"
version = "0.1.0"
kind = "${language === 'ts' ? 'component' : 'command'}"
entry_wasm = { path = "bin/${name}.wasm" }

# What comes in from other nodes and what goes out, by type; "*" takes anything.
[ports]
in = {}
out = { out = ["artifact.generic.v1"] }

# JSON Schema of the node's \`with\`.
[schemas.with]
type = "object"
required = ["text"]
additionalProperties = false
[schemas.with.properties.text]
type = "string"

[caps]
file = "policy.caps"
`;
}

function policy(wish: Wish): string {
  const fs = wish.fs.map(({ path, write }) => (write ? `{ path = ${quote(path)}, write = true }` : quote(path)));
  const list = (texts: readonly string[]): string => `[${texts.map(quote).join(', ')}]`;
  const rows: readonly (readonly [about: string, given: string | undefined, example: string])[] = [
    [
      'folders, read-only unless they say write',
      fs.length === 0 ? undefined : `fs = [${fs.join(', ')}]`,
      'fs = ["~/notes", { path = "~/reports", write = true }]',
    ],
    ['hosts, by HTTPS', wish.net.length === 0 ? undefined : `net = ${list(wish.net)}`, 'net = ["api.example.com"]'],
    [
      'domains of the knowledge base to read',
      wish.kbRead.length === 0 ? undefined : `kb_read = ${list(wish.kbRead)}`,
      'kb_read = ["notes"]',
    ],
    [
      'domains of the knowledge base to write',
      wish.kbWrite.length === 0 ? undefined : `kb_write = ${list(wish.kbWrite)}`,
      'kb_write = ["notes"]',
    ],
    ['models', wish.model ? 'model = true' : undefined, 'model = true'],
    ["real clocks instead of the run's own", undefined, 'time = true'],
  ];
  const head = '# What this agent asks for; what is not written here is denied. Check it: rlp caps lint .\n';
  const body = rows.map(([about, given, example]) => `\n# ${about}\n${given ?? `# ${example}`}\n`).join('');
  return `${head}${body}\n# [limits]\n# memory_mib = 64\n# cpu_ms = 5000\n# wall_ms = 30000\n`;
}

/** JSON's strings are TOML's basic strings. */
const quote = (text: string): string => JSON.stringify(text);

function agentSource(wish: Wish): string {
  const work = wish.model
    ? `    const said = host.model.complete({
      messages: [{ role: 'user', content: \`Give this note a title of at most six words:\\n\${note}\` }],
      max_tokens: 32,
    });
    return { out: [{ type: 'artifact.generic.v1', value: { title: said, note, words } }] };`
    : `    return { out: [{ type: 'artifact.generic.v1', value: { note, words } }] };`;
  const hints = [
    ...wish.fs.map(({ path }) => `host.fs.list({ path: ${quote(path)} })`),
    ...wish.net.map((host) => `host.http.fetch({ url: ${quote(`https://${host}/`)} })`),
    ...wish.kbRead.map((domain) => `host.kb.search({ text: 'words', max: 5, kinds: [${quote(domain)}] })`),
    ...wish.kbWrite.map((domain) => `host.kb.propose({ kind: ${quote(domain)}, payload: {} })`),
  ];
  const granted =
    hints.length === 0
      ? ''
      : `\n * What policy.caps asks for is reached by:\n${hints.map((hint) => ` *   ${hint}`).join('\n')}`;
  return `/**
 * ${wish.name}: takes a text and gives it back with the number of its words.${granted}
 */
import { AgentFailure, defineAgent } from '${sdk}';

export default defineAgent({
  handle(request, host) {
    const { text } = request.with;
    if (typeof text !== 'string' || text.trim() === '') throw new AgentFailure('give with.text', { retryable: false });
    const note = text.trim();
    const words = note.split(/\\s+/).length;
    host.log('info', \`a note of \${words} words\`);
${work}
  },
});
`;
}

function agentTest(wish: Wish): string {
  const host = wish.model ? ", host: { 'model.complete': () => 'A title' }" : '';
  const value = wish.model ? "{ title: 'A title', note: 'two words', words: 2 }" : "{ note: 'two words', words: 2 }";
  return `/** rlp agent test .  runs this in this process, with the host calls that it answers here. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runAgent } from '${sdk}';
import agent from '../src/agent.ts';

test('counts words', () => {
  const { outcome } = runAgent(agent, { with: { text: ' two words ' }${host} });
  assert.deepEqual(outcome, {
    ok: true,
    answer: { out: [{ type: 'artifact.generic.v1', value: ${value} }] },
  });
});

test('says what is missing', () => {
  const { outcome } = runAgent(agent, { with: {} });
  assert.deepEqual(outcome, { ok: false, reason: 'give with.text', retryable: false });
});
`;
}

const jsonCase = `${JSON.stringify(
  {
    request: { with: { text: 'two words' } },
    answer: { out: [{ type: 'artifact.generic.v1', value: { note: 'two words', words: 2 } }] },
  },
  undefined,
  2,
)}\n`;

function packageJson(name: string): string {
  return `${JSON.stringify({ name, private: true, type: 'module' }, undefined, 2)}\n`;
}

function opening(name: string): string {
  return `version: 0
name: ${name}
goals: ['take a note']
params: { text: 'the first note of a new agent' }
nodes:
  - id: note
    use: agent:${name}
    with: { text: '{{params.text}}' }
success: { all_of: ['exists(note.out)'] }
artifacts: { save: [note.out] }
`;
}

function readme({ name, language, opening: runs }: Wish): string {
  const source = { ts: 'src/agent.ts', c: 'src/main.c', rust: 'src/main.rs' }[language];
  const run = runs ? `rlp run ${name}/${name}.yaml -p text='words to count'\n` : '';
  return `# ${name}

Takes \`with.text\` and answers \`out\` (\`artifact.generic.v1\`): the note and the number of its words.
The source is ${source}; what it may reach stands in policy.caps.

\`\`\`sh
rlp agent build ${name}
${run}rlp agent test ${name}
rlp agent dev ${name} --with '{"text": "as I type"}'
\`\`\`
`;
}

function license(name: string): string {
  return `Copyright (c) the authors of ${name}

Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted,
provided that the above copyright notice and this permission notice appear in all copies.

THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED
WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT, INDIRECT, OR
CONSEQUENTIAL DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN ACTION OF
CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
`;
}
