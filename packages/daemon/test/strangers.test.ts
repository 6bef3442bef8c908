/** Bundles of foreign signers in a whole daemon: installed, run in bubblewrap, narrowed, stopped when they are revoked. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { readFile, readlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadConfig, systemClock, systemRandom, unwrap } from '@runloop/core';
import { buildAgent, type HostKey, hostKey } from '@runloop/runtime';
import { peerCredentials } from '@runloop/sdk';
import { type Daemon, openDaemon } from '../src/daemon.ts';
import { metaOf, readRun } from '../src/runs/tape.ts';

let root: string;
let daemon: Daemon;
let stranger: HostKey;

async function open(more = ''): Promise<Daemon> {
  const sources = { env: {}, userFile: 'user', systemFile: 'system' };
  const readText = (path: string): string | undefined => (path === 'user' ? more : undefined);
  const { config, origin } = unwrap(
    loadConfig({ ...sources, readText, parse: (text) => JSON.parse(text || '{}') }),
    'a config',
  );
  return unwrap(
    await openDaemon(
      {
        clock: systemClock,
        random: systemRandom,
        peer: peerCredentials,
        env: {},
        rssBytes: () => 0,
        loopDelayMs: () => 0,
        stopRequested: () => undefined,
      },
      { root, config, origin, version: '0', checkout: undefined, mode: 'user', uid: 0, pid: process.pid, spares: 0 },
    ),
    'a daemon',
  );
}

async function build(name: string, caps: string, body: string): Promise<string> {
  const dir = join(root, 'src', name);
  mkdirSync(join(dir, 'src'), { recursive: true });
  mkdirSync(join(dir, 'node_modules/@runloop'), { recursive: true });
  symlinkSync(join(import.meta.dirname, '../../agent-sdk'), join(dir, 'node_modules/@runloop/agent'));
  writeFileSync(
    join(dir, 'manifest.toml'),
    `[agent]\nname = "${name}"\nversion = "1.0.0"\n[ports]\nout = { out = ["*"] }\n`,
  );
  writeFileSync(join(dir, 'policy.caps'), caps);
  writeFileSync(
    join(dir, 'src/agent.ts'),
    `import { defineAgent } from '@runloop/agent';\nexport default defineAgent({ handle(request: any, host: any): any {\n${body}\n} });\n`,
  );
  unwrap(await buildAgent({ clock: systemClock }, dir, { signWith: stranger }), `${name} builds`);
  return dir;
}

function trust(more: string, revoked = ''): void {
  writeFileSync(
    join(root, 'trust-policy.toml'),
    `${revoked}\n[[anchor]]\nname = "acme"\nkey = "${stranger.id}"\n${more}\n`,
  );
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'rl-str-'));
  stranger = unwrap(await hostKey(join(root, 'stranger')), 'a key');
  daemon = await open();
});
afterAll(async () => {
  await daemon[Symbol.asyncDispose]();
  rmSync(root, { recursive: true, force: true });
});

let runs = 0;
async function submit(agent: string, more = ''): Promise<string> {
  runs += 1;
  const traceId = runs.toString(16).padStart(32, '0');
  const text = `version: 0\nname: test\nnodes:\n  - id: n\n    use: "agent:${agent}"\n    ${more}\n`;
  const request = {
    traceId,
    file: 'test.yaml',
    text,
    params: {},
    onConfirm: 'deny',
    priority: 0,
    actor: 'operator:0',
  } as const;
  unwrap(await daemon.runs.submit(request), 'it is accepted');
  return traceId;
}

async function finished(traceId: string): Promise<{ readonly end: unknown; readonly audits: readonly unknown[] }> {
  const rows = async (): Promise<Awaited<ReturnType<typeof readRun>>> => readRun(daemon.kb, traceId);
  const of = async (kind: string): Promise<unknown[]> =>
    unwrap(await rows(), 'rows')
      .filter((row) => row.kind === kind)
      .map(metaOf);
  await expect.poll(async () => (await of('run.finished')).length, { timeout: 100_000 }).toBe(1);
  return { end: (await of('node.finished'))[0], audits: await of('cap.audit') };
}

async function descendants(pid: number | string): Promise<string[]> {
  const listed = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  const children = listed.split(' ').filter(Boolean);
  return [...children, ...(await Promise.all(children.map(descendants))).flat()];
}

/** Network namespaces of the cells that are alive, but for our own. */
async function foreignNets(): Promise<string[]> {
  const own = await readlink('/proc/self/ns/net');
  const found = new Set<string>();
  for (const pid of await descendants(process.pid)) {
    const args = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    const net = await readlink(`/proc/${pid}/ns/net`).catch(() => own);
    if (/cell-[0-9a-f]+\.cjs/.test(args) && net !== own) found.add(net);
  }
  // bubblewrap's own process inside has them too.
  return [...found];
}

const hasBwrap = existsSync('/usr/bin/bwrap');
describe.skipIf(!hasBwrap)('a signer that is not trusted (skipped where there is no bubblewrap)', () => {
  test('A7: its agent is installed, runs in namespaces of its own, and is stopped when it is revoked', async () => {
    const dir = await build('spinner', '[limits]\ncpu_ms = 60000\n', 'for (;;) {}');
    expect(await daemon.installer.install(dir)).toMatchObject({ ok: false, error: { code: 'SignatureInvalid' } });
    trust('');
    expect(unwrap(await daemon.installer.install(dir), 'it installs')).toMatchObject({
      signer: 'acme',
      trusted: false,
    });
    const traceId = await submit('spinner');
    await expect.poll(foreignNets, { timeout: 100_000 }).toHaveLength(1);
    trust('', `revoked_keys = ["${stranger.id}"]`);
    const { end, audits } = await finished(traceId);
    expect(end).toMatchObject({
      state: 'failed',
      code: 'SignatureInvalid',
      reason: expect.stringMatching(/signer "acme".*is revoked/),
    });
    expect(audits).toMatchObject([{ agent: 'spinner', op: 'agent.start', decision: 'deny' }]);
    await expect.poll(foreignNets).toEqual([]);
    const later = {
      traceId: 'f'.repeat(32),
      file: 'x',
      text: 'version: 0\nname: x\nnodes: [{ id: n, use: "agent:spinner" }]\n',
    };
    const refused = await daemon.runs.submit({
      ...later,
      params: {},
      onConfirm: 'deny',
      priority: 0,
      actor: 'operator:0',
    });
    expect(refused).toMatchObject({ ok: false, error: { code: 'SignatureInvalid' } });
  });

  test('may have what the policy grants, less what the override and the opening take', async () => {
    trust('[anchor.caps]\nkb_read = true');
    const body = `return { out: [{ type: 'a.b.v1', value: host.kb.search({ text: 'x', max: 1, kinds: ['note'] }) }] };`;
    unwrap(
      await daemon.installer.install(await build('reader', 'kb_read = true\nmodel = true\n', body)),
      'it installs',
    );
    expect((await finished(await submit('reader'))).end).toMatchObject({ state: 'succeeded' });

    const narrowed = await finished(await submit('reader', 'caps: { kb_read: [contacts] }'));
    expect(narrowed.end).toMatchObject({ state: 'failed', reason: expect.stringMatching(/kb_read = \["notes"\]/) });
    expect(narrowed.audits).toMatchObject([{ cap: 'kb_read', decision: 'deny' }]);

    mkdirSync(join(root, 'caps'), { recursive: true });
    writeFileSync(join(root, 'caps/reader.caps'), 'kb_read = false\n');
    const empty = await finished(await submit('reader'));
    expect(empty.audits).toMatchObject([
      { cap: 'caps_empty', decision: 'empty' },
      { cap: 'kb_read', decision: 'deny' },
    ]);
    rmSync(join(root, 'caps/reader.caps'));

    const text = 'version: 0\nname: x\nnodes: [{ id: n, use: "agent:reader", caps: { kb_raed: true } }]\n';
    const request = {
      traceId: 'e'.repeat(32),
      file: 'x',
      text,
      params: {},
      onConfirm: 'deny',
      priority: 0,
      actor: 'o',
    } as const;
    const wrong = await daemon.runs.submit(request);
    expect(wrong).toMatchObject({
      ok: false,
      error: { code: 'InvalidOpening', message: expect.stringMatching(/node "n": caps: .*did you mean "kb_read"/) },
    });
  });

  test('fail_on_empty refuses instead', async () => {
    await daemon[Symbol.asyncDispose]();
    daemon = await open('{"version": 1, "security": {"caps": {"fail_on_empty": true}}}');
    const { end, audits } = await finished(await submit('reader', 'caps: { kb_read: false }'));
    expect(end).toMatchObject({ state: 'failed', code: 'CapabilityDenied' });
    expect(audits).toMatchObject([{ op: 'agent.start', decision: 'deny' }]);
  });
});
