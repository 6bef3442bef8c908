/** Mail through a real server: what leaves, what is refused, and what nobody knows. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type Config, type JsonObject, unwrap } from '@runloop/core';
import type { HostAnswer } from '@runloop/runtime';
import { mailRecipientsMax } from '../src/host/mail-calls.ts';
import { mailTransport } from '../src/host/mail-transport.ts';
import { metaOf } from '../src/runs/tape.ts';
import { envName } from '../src/secrets/given.ts';
import { Scrubber } from '../src/secrets/scrubber.ts';
import { bundle, of, Place } from './runs-fixture.ts';

const dir = mkdtempSync(join(tmpdir(), 'rl-mail-'));
const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
const about = ['-nodes', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
const made = spawnSync('openssl', ['req', '-x509', ...curve, ...about, '-keyout', key, '-out', cert], {
  stdio: 'ignore',
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

type Taken = { readonly to: string[]; readonly secure: boolean; readonly user?: string; readonly text: string };
type Post = AsyncDisposable & { readonly port: number; readonly taken: Taken[] };

async function post(...args: string[]): Promise<Post> {
  const main = join(import.meta.dirname, 'smtp-main.ts');
  const child = spawn(process.execPath, ['--no-warnings', main, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = new Promise((resolve) => child.on('exit', resolve));
  const taken: Taken[] = [];
  const port = await new Promise<number>((resolve) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const said = JSON.parse(line) as Taken & { port?: number };
      if (said.port === undefined) taken.push(said);
      else resolve(said.port);
    });
  });
  return {
    port,
    taken,
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await exited;
    },
  };
}

const id = 'runloop/mail/me';
const config = (port: number, more: Partial<Config['mail']['transport']> = {}, from = ''): Config['mail'] => {
  const plain = {
    host: '127.0.0.1',
    port,
    security: 'none-loopback-only',
    user: '',
    password_secret: '',
    ca_file: '',
  } as const;
  return { transport: { ...plain, ...more }, from };
};
const caps = { ...bundle.caps, mail: { from: 'me@example.com', to: ['*'] } };
const letter = (more: JsonObject = {}): JsonObject => ({
  to: ['you@example.org'],
  subject: 'hello',
  body: 'Hello.\n.\nBye',
  ...more,
});

/** What an agent is answered that sends these, all of them agreed to. */
async function sending(
  place: Place,
  mail: Config['mail'],
  messages: readonly JsonObject[],
  password = 'pass-word-1234',
): Promise<HostAnswer[]> {
  const answers: HostAnswer[] = [];
  const { submit, until } = await place.boot(
    async (call) => {
      for (const message of messages) answers.push(await call('mail.send', message));
      return 1;
    },
    { mail, caps, operator: { confirms: false }, env: { [envName(id)]: password } },
  );
  await submit();
  await until('run.finished');
  return answers;
}

test('a message that the server took: from the grant, with an id of the call, told on the ledger', async () => {
  await using server = await post();
  await using place = await Place.open();
  const answers = await sending(place, config(server.port), [letter()]);
  expect(answers).toMatchObject([
    { value: { sent: true, accepted: ['you@example.org'], rejected: [], response: expect.stringContaining('250') } },
  ]);
  const [message] = server.taken;
  expect(message).toMatchObject({ to: ['you@example.org'], secure: false });
  expect(message?.text).toMatch(/^From: me@example\.com\r$/m);
  expect(message?.text).toContain('Hello.\r\n.\r\nBye');
  const rows = await place.rows();
  const call = String(of(rows, 'effect.intent').map(metaOf)[0]?.['call']);
  expect(/^Message-ID:\s+(\S+)/m.exec(message?.text ?? '')?.[1]).toBe(`<${call}@example.com>`);
  expect(rows.map(({ kind }) => kind).filter((kind) => kind.startsWith('email.'))).toEqual([
    'email.drafted',
    'email.sent',
  ]);
  expect(of(rows, 'email.sent').map(({ payload }) => payload)).toMatchObject([
    { to: ['you@example.org'], from: 'me@example.com', message_id: `<${call}@example.com>` },
  ]);
});

test('what the server refuses is an error in its words; what would add to what was shown does not leave', async () => {
  await using server = await post();
  await using place = await Place.open();
  const answers = await sending(place, config(server.port), [
    letter({ to: ['nobody@example.org'] }),
    letter({ to: ['you@example.org', 'nobody@example.org'] }),
    letter({ subject: 'spam' }),
    letter({ subject: 'x\r\nBcc: evil@example.org' }),
    letter({ to: ['a@example.org\r\nRCPT TO:<evil@example.org>'] }),
    letter({ to: ['a@example.org, evil@example.org'] }),
    letter({ to: ['You <a@example.org>'] }),
    letter({ to: Array.from({ length: mailRecipientsMax + 1 }, (_, i) => `u${i}@example.org`) }),
    letter({ from: 'boss@example.com' }),
  ]);
  expect(answers).toMatchObject([
    { code: 'ProviderFailed', message: expect.stringContaining('no such mailbox') },
    { value: { sent: true, accepted: ['you@example.org'], rejected: ['nobody@example.org'] } },
    { code: 'ProviderFailed', message: expect.stringContaining('this is spam') },
    { code: 'InvalidParams', message: expect.stringContaining('one line') },
    { code: 'InvalidParams', message: expect.stringContaining('no plain address') },
    { code: 'InvalidParams', message: expect.stringContaining('no plain address') },
    { code: 'InvalidParams', message: expect.stringContaining('no plain address') },
    { code: 'InvalidParams', message: expect.stringContaining('recipients') },
    { code: 'CapabilityDenied', message: expect.stringContaining('boss@example.com') },
  ]);
  expect(server.taken.map(({ to }) => to)).toEqual([['you@example.org'], ['you@example.org']]);
  expect(of(await place.rows(), 'email.sent')).toHaveLength(1);
});

test('nobody there, the wrong sender', async () => {
  const gone = await post();
  await gone[Symbol.asyncDispose]();
  await using place = await Place.open();
  const answers = await sending(place, config(gone.port), [letter()]);
  expect(answers).toMatchObject([{ code: 'ProviderUnavailable' }]);
  await using other = await Place.open();
  expect(await sending(other, config(1, {}, 'else@example.com'), [letter()])).toMatchObject([
    { code: 'CapabilityDenied', message: expect.stringContaining('else@example.com') },
  ]);
});

describe.skipIf(made.status !== 0)('TLS (needs openssl)', () => {
  const signedIn = { host: 'localhost', user: 'me', password_secret: id, ca_file: cert };
  test.each(['starttls', 'tls'] as const)(
    '%s: verified, signed in; a wrong password is refused and not told',
    async (security) => {
      await using server = await post(security, key, cert);
      await using place = await Place.open();
      const answers = await sending(place, config(server.port, { ...signedIn, security }), [letter()]);
      expect(answers).toMatchObject([{ value: { sent: true } }]);
      expect(server.taken).toMatchObject([{ secure: true, user: 'me' }]);
      await using wrong = await Place.open();
      const refused = await sending(
        wrong,
        config(server.port, { ...signedIn, security }),
        [letter()],
        'not-the-password',
      );
      expect(refused).toMatchObject([
        { code: 'ProviderFailed', message: expect.stringContaining('no such user or password: [secret]') },
      ]);
      await using unknown = await Place.open();
      const untrusted = await sending(unknown, config(server.port, { ...signedIn, security, ca_file: '' }), [letter()]);
      expect(untrusted).toMatchObject([
        { code: 'ProviderUnavailable', message: expect.stringMatching(/certificate/i) },
      ]);
      expect(server.taken).toHaveLength(1);
    },
  );

  test('starttls that the server does not offer sends nothing', async () => {
    await using server = await post();
    await using place = await Place.open();
    const answers = await sending(place, config(server.port, { ...signedIn, security: 'starttls' }), [letter()]);
    expect(answers).toMatchObject([{ type: 'error' }]);
    expect(server.taken).toEqual([]);
  });
});

test.each(['cut', 'slow'])(
  'a message after which the connection is %s: nobody knows, so the operator is asked',
  async (subject) => {
    await using server = await post();
    await using place = await Place.open();
    const answers: HostAnswer[] = [];
    const { runs, submit, until } = await place.boot(
      async (call) => {
        answers.push(await call('mail.send', letter({ subject })));
        return 1;
      },
      { mail: config(server.port), caps },
    );
    await submit();
    const decide = async (nth: number, decision: 'approve' | 'deny'): Promise<JsonObject> => {
      for (;;) {
        const question = of(await until('action.requested'), 'action.requested').map((row) => metaOf(row))[nth];
        if (question !== undefined) {
          const run = runs.get('ab'.repeat(16)) ?? expect.fail();
          expect(
            await run.questions.decide(String(question['action']), String(question['hash']), decision, 'me'),
          ).toBeUndefined();
          return question;
        }
        await new Promise((resolve) => {
          setTimeout(resolve, 20);
        });
      }
    };
    await decide(0, 'approve');
    const again = await decide(1, subject === 'cut' ? 'approve' : 'deny');
    expect(again['what']).toContain('it was cut off and may have happened');
    const rows = await until('run.finished');
    expect(of(rows, 'email.sent')).toHaveLength(subject === 'cut' ? 1 : 0);
    expect(answers).toMatchObject([subject === 'cut' ? { value: { sent: true } } : { code: 'ApprovalDenied' }]);
    const ids = server.taken.map(({ text }) => /^Message-ID:\s+(\S+)/m.exec(text)?.[1]);
    expect(ids).toHaveLength(subject === 'cut' ? 2 : 0);
    expect([...new Set(ids)]).toEqual(subject === 'cut' ? [expect.stringContaining('@example.com>')] : []);
  },
);

test.each([
  [config(25, { host: 'mail.example.com' }), 'is not this machine'],
  [config(25, { user: 'me' }), 'belong together'],
  [config(25, { ca_file: '/nowhere/ca.pem' }), 'ENOENT'],
])('a transport that cannot be meant: %#', (mail, why) => {
  const scrubber = new Scrubber();
  const secrets = { resolve: () => expect.fail(), scrub: (text: string) => scrubber.scrub(text) };
  const opened = mailTransport({ secrets }, mail);
  expect(opened.ok ? '' : opened.error.message).toContain(why);
  expect(unwrap(mailTransport({ secrets }, config(25, { host: '' })), 'none')).toBeUndefined();
});
