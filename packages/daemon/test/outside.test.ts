/** Calls that leave: what is asked about, what is told, and what happens when a thing changes after it was approved. */
import { existsSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { JsonObject } from '@runloop/core';
import type { Bundle, Caps, HostAnswer } from '@runloop/runtime';
import { metaOf } from '../src/runs/tape.ts';
import { bundle, of, Place, type Boot, traceId } from './runs-fixture.ts';

const dir = realpathSync(mkdtempSync(join(tmpdir(), 'rl-out-')));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const granted = (caps: Partial<Caps>): Bundle => ({ ...bundle, caps: { ...bundle.caps, ...caps } });
/** Waits for the nth question and answers it. */
async function decide({ runs, until }: Boot, nth: number): Promise<JsonObject> {
  for (;;) {
    const asked = of(await until('action.requested'), 'action.requested').map((row) => metaOf(row));
    const question = asked[nth];
    if (question === undefined) {
      await new Promise((resolve) => {
        setTimeout(resolve, 20);
      });
      continue;
    }
    const { action, hash } = question;
    await runs.get(traceId)?.questions.decide(String(action), String(hash), 'approve', 'me');
    return question;
  }
}

test.skipIf(!existsSync('/usr/bin/bwrap'))(
  'an executable that changed after it was shown is asked about again',
  async () => {
    const command = join(dir, 'tool');
    const write = (text: string): void => writeFileSync(command, `#!/usr/bin/sh\necho ${text}\n`, { mode: 0o700 });
    write('one');
    await using place = await Place.open();
    const answers: HostAnswer[] = [];
    const boot = await place.boot(
      async (call) => {
        const answer = await call('exec.run', { command, argv: ['x'] });
        answers.push(answer);
        return 1;
      },
      {
        bundle: granted({ exec: [{ command, argv: ['{x}'] }] }),
        folders: () => [{ path: dir, write: false }],
      },
    );
    await boot.submit();
    await boot.until('node.waiting');
    write('two');
    const first = await decide(boot, 0);
    const second = await decide(boot, 1);
    const name = `executable ${command}`;
    const digests = [first, second].map((question) => (question['referents'] as JsonObject)[name]);
    expect(digests).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/), expect.stringMatching(/^[0-9a-f]{64}$/)]);
    expect(digests[0]).not.toBe(digests[1]);
    const rows = await boot.until('run.finished');
    expect(answers).toMatchObject([{ value: { exit_code: 0, stdout: 'two\n' } }]);
    expect(of(rows, 'tool.called').map(metaOf)).toMatchObject([
      { tool: 'exec.run', target: command, ok: true, exit_code: 0 },
    ]);
  },
);

test('http.fetch is told, and a refusal on the way is audited', async () => {
  const server = createServer((request, response) => {
    if (request.url === '/away') response.writeHead(302, { location: 'https://evil.test/' }).end();
    else response.end('hello');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const site = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    await using place = await Place.open();
    const answers: HostAnswer[] = [];
    const { submit, until } = await place.boot(
      async (call) => {
        for (const path of ['/', '/away']) {
          answers.push(await call('http.fetch', { url: `${site}${path}` }));
        }
        return 1;
      },
      { bundle: granted({ net: [site] }) },
    );
    await submit();
    const rows = await until('run.finished');
    expect(answers).toMatchObject([
      { type: 'value', value: { status: 200, body: 'hello' } },
      { type: 'error', code: 'CapabilityDenied', message: expect.stringContaining('net = ["evil.test"]') },
    ]);
    expect(of(rows, 'tool.called').map(metaOf)).toMatchObject([
      { tool: 'http.fetch', ok: true, status: 200 },
      { tool: 'http.fetch', ok: false, code: 'CapabilityDenied' },
    ]);
    expect(of(rows, 'cap.audit').map(metaOf)).toMatchObject([{ cap: 'net', op: 'http.fetch', decision: 'deny' }]);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
