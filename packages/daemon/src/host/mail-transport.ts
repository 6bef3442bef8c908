/**
 * Submits one message to the operator's mail server by SMTP.
 *
 * 1. With TLS, whose certificate is verified, or not at all; without it only to this machine.
 * 2. The answer says what the server said, or that nobody knows: the connection ended after the message had begun to go
 *    out. Only the operator can say whether such a message is sent again.
 * 3. nodemailer is loaded with the first message.
 */
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { type Config, err, type Failure, failure, ok, type Result } from '@runloop/core';
import type { SecretsPort } from '@runloop/runtime';

export const mailConnectMs = 10_000;
/** Silence of the server that is waited for. */
export const mailIdleMs = 60_000;

export type Mail = {
  readonly from: string;
  readonly to: readonly string[];
  readonly subject: string;
  readonly body: string;
  readonly messageId: string;
  readonly date: Date;
};
export type MailReceipt = {
  readonly accepted: readonly string[];
  readonly rejected: readonly string[];
  readonly response: string;
};
export interface MailTransport {
  /** The one address that it sends as; nothing where the server decides. */
  readonly from: string | undefined;
  /** Undefined where nobody knows whether the message was taken. */
  send(mail: Mail, signal: AbortSignal): Promise<Result<MailReceipt, Failure> | undefined>;
}

type Settings = Config['mail']['transport'];
type Deps = { readonly secrets: SecretsPort; readonly idleMs?: number };

/** Nothing where no transport is configured: messages are then kept as drafts. */
export function mailTransport(
  deps: Deps,
  { transport, from }: Config['mail'],
): Result<MailTransport | undefined, Failure> {
  const { host, security, user, password_secret: secret, ca_file: caFile } = transport;
  if (host === '') return ok(undefined);
  const wrong = (why: string): Result<never, Failure> => err(failure('InvalidConfig', `mail.transport: ${why}`));
  if (security === 'none-loopback-only' && !['localhost', '127.0.0.1', '::1'].includes(host))
    return wrong(`${host} is not this machine: security must be starttls or tls`);
  if ((user === '') !== (secret === '')) return wrong('user and password_secret belong together');
  let ca: string | undefined;
  try {
    ca = caFile === '' ? undefined : readFileSync(caFile, 'utf8');
  } catch (error) {
    return wrong(`ca_file ${caFile} cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
  return ok({ from: from === '' ? undefined : from, send: (mail, signal) => send(deps, transport, ca, mail, signal) });
}

async function send(
  { secrets, idleMs = mailIdleMs }: Deps,
  { host, port, security, user, password_secret: secretId }: Settings,
  ca: string | undefined,
  mail: Mail,
  signal: AbortSignal,
): Promise<Result<MailReceipt, Failure> | undefined> {
  const password =
    user === '' ? undefined : await secrets.resolve(secretId, { type: 'smtp', server: `${host}:${port}` });
  if (password?.ok === false) return password;
  const message = await compose(mail);
  if (signal.aborted) return err(failure('Cancelled', 'the call was cancelled'));
  const { default: SMTPConnection } = await import('nodemailer/lib/smtp-connection');
  const connection = new SMTPConnection({
    host,
    port,
    secure: security === 'tls',
    requireTLS: security === 'starttls',
    ignoreTLS: security === 'none-loopback-only',
    tls: { rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }) },
    connectionTimeout: mailConnectMs,
    greetingTimeout: mailConnectMs,
    socketTimeout: idleMs,
    name: 'localhost',
  });
  let isUnderWay = false;
  const body = new Readable({
    read() {
      isUnderWay = true;
      this.push(message);
      this.push(null);
    },
  });
  const ended = Promise.withResolvers<never>();
  ended.promise.catch(() => undefined);
  connection.on('error', (error: Error) => ended.reject(error));
  connection.on('end', () => ended.reject(new Error('the connection was closed')));
  const onAbort = (): void => ended.reject(new Error('the call was cancelled'));
  signal.addEventListener('abort', onAbort, { once: true });
  const step = <T>(begin: (done: (error?: Error | null, value?: T) => void) => void): Promise<T | undefined> =>
    Promise.race([
      ended.promise,
      new Promise<T | undefined>((resolve, reject) => {
        begin((error, value) => (error ? reject(error) : resolve(value)));
      }),
    ]);
  try {
    await step((done) => connection.connect(done));
    if (password !== undefined)
      await step((done) => connection.login({ user, credentials: { user, pass: password.value } }, done));
    const sent = await step<{ accepted: unknown[]; rejected: unknown[]; response: string }>((done) =>
      connection.send({ from: mail.from, to: [...mail.to] }, body, done),
    );
    if (sent === undefined) throw new Error('the server said nothing');
    const { accepted, rejected, response } = sent;
    return ok({ accepted: accepted.map(String), rejected: rejected.map(String), response: response.slice(0, 500) });
  } catch (error) {
    const { responseCode, message: why } = error as Error & { readonly responseCode?: number };
    if (responseCode === undefined && isUnderWay) return undefined;
    const isRefusal = responseCode !== undefined && responseCode >= 500;
    const what = `${host}:${port} did not take the message: ${secrets.scrub(why).slice(0, 500)}`;
    return err(failure(isRefusal ? 'ProviderFailed' : 'ProviderUnavailable', what));
  } finally {
    signal.removeEventListener('abort', onAbort);
    connection.close();
  }
}

async function compose({ from, to, subject, body, messageId, date }: Mail): Promise<Buffer> {
  const { default: MailComposer } = await import('nodemailer/lib/mail-composer');
  const mail = { from, to: [...to], subject, text: body, messageId, date };
  const composer = new MailComposer({ ...mail, disableFileAccess: true, disableUrlAccess: true });
  return new Promise((resolve, reject) => {
    composer.compile().build((error, message) => {
      if (error) reject(error);
      else resolve(message);
    });
  });
}
