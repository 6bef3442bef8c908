/** A mail server in a process of its own: says its port, then each message that it took, as lines of JSON. */
import { readFileSync } from 'node:fs';
import { SMTPServer } from 'smtp-server';

const [, , mode = 'plain', key = '', cert = ''] = process.argv;
const say = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`);
const refuse = (code: number, message: string): Error => Object.assign(new Error(message), { responseCode: code });

const server = new SMTPServer({
  secure: mode === 'tls',
  ...(mode === 'plain' ? { hideSTARTTLS: true, disabledCommands: ['STARTTLS'] } : {}),
  ...(key === '' ? {} : { key: readFileSync(key), cert: readFileSync(cert) }),
  authOptional: true,
  logger: false,
  onAuth({ username, password }, _, done) {
    if (username === 'me' && password === 'pass-word-1234') done(null, { user: 'me' });
    else done(refuse(535, `no such user or password: ${password ?? ''}`));
  },
  onRcptTo({ address }, _, done) {
    if (address.startsWith('nobody@')) done(refuse(550, 'no such mailbox'));
    else done();
  },
  onData(stream, session, done) {
    let text = '';
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    stream.on('end', () => {
      if (text.includes('Subject: slow')) return;
      say({
        to: session.envelope.rcptTo.map(({ address }) => address),
        secure: session.secure,
        user: session.user,
        text,
      });
      if (text.includes('Subject: cut') && !cut.has(messageId(text))) {
        cut.add(messageId(text));
        server.connections.forEach((connection) => (connection as { _socket: { destroy(): void } })._socket.destroy());
      } else if (text.includes('Subject: spam')) done(refuse(554, 'this is spam'));
      else done();
    });
  },
});
/** Sent again, a message has the same id, and another date. */
const messageId = (text: string): string => /^Message-ID:\s+(\S+)/im.exec(text)?.[1] ?? '';
/** Messages after which the connection was cut once. */
const cut = new Set<string>();
server.on('error', () => undefined);
server.listen(0, '127.0.0.1', () => {
  const address = server.server.address();
  say({ port: typeof address === 'object' ? address?.port : 0 });
});
process.stdin.resume().on('end', () => process.exit(0));
