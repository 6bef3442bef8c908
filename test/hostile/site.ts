/** A web site that leads elsewhere: an answer, two redirects, a body without an end. */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Site = {
  readonly url: string;
  /** What was asked of it. */
  readonly seen: readonly IncomingMessage[];
  readonly close: () => void;
};

export async function openSite(): Promise<Site> {
  const seen: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    seen.push(request);
    if (request.url === '/inwards') response.writeHead(302, { location: 'http://169.254.169.254/latest' }).end();
    else if (request.url === '/away') response.writeHead(307, { location: 'http://localhost:1/' }).end();
    else if (request.url === '/bomb') {
      const piece = Buffer.alloc(256 * 1024, 0x61);
      const more = (): void => {
        while (!response.destroyed) if (!response.write(piece)) return void response.once('drain', more);
      };
      more();
    } else response.end('hello');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = (): void => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen, close };
}
