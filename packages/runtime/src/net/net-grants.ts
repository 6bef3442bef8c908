/**
 * Does a `net` grant cover this URL?
 *
 * 1. `api.example.com` is HTTPS on port 443; `host:8443` that port; `*.example.org` its subdomains only; plain HTTP only
 *    where `http://host[:port]` is written out.
 * 2. An address is reached only by a grant that names it: no `*` covers one, and no name leads to a private one (fetch.ts).
 * 3. A URL is read once, by one parser, and what a parser could read in two ways (user, backslash, space) is refused.
 */
import { isIP } from 'node:net';

export type NetTarget = {
  readonly url: URL;
  /** As a grant would name it. */
  readonly name: string;
};

/** The target of a URL, or why there is none. */
export function netTarget(raw: string): NetTarget | { readonly fault: string } {
  // oxlint-disable-next-line no-control-regex -- control characters are what is refused
  if (/[\\\u0000-\u0020\u007f]/.test(raw)) return { fault: 'a URL holds no backslash, space or control character' };
  if (!URL.canParse(raw)) return { fault: 'it is no absolute URL' };
  const url = new URL(raw);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return { fault: 'only https and http URLs are fetched' };
  if (url.username !== '' || url.password !== '') return { fault: 'a URL holds no user and no password' };
  return { url, name: url.protocol === 'https:' ? url.host : `http://${url.host}` };
}

/** A host as the network knows it: without the brackets of an IPv6 address. */
function bareHost({ hostname }: URL): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
}

export function netCovers(grants: readonly string[], { url, name }: NetTarget): boolean {
  if (grants.includes(name)) return true;
  if (url.protocol !== 'https:' || isIP(bareHost(url)) !== 0 || url.hostname.endsWith('.')) return false;
  return grants.some(
    (grant) => grant.startsWith('*.') && name.endsWith(grant.slice(1)) && name.length > grant.length - 1,
  );
}

/** Why `grant` covers nothing that its author can have meant, if so. */
export function netGrantFault(grant: string): string | undefined {
  if (grant.startsWith('https://')) return `"${grant}": HTTPS is meant already; write "${grant.slice(8)}"`;
  const plain = grant.startsWith('http://');
  const host = (plain ? grant.slice('http://'.length) : grant).replace(/^\*\./, '');
  const canonical = URL.canParse(`${plain ? 'http' : 'https'}://${host}`)
    ? new URL(`${plain ? 'http' : 'https'}://${host}`).host
    : '';
  const isWide = grant.includes('*');
  if (canonical === host && !(isWide && (plain || isIP(host) !== 0 || host.includes('*')))) return undefined;
  const near = canonical === '' || isWide ? '' : `; write "${plain ? 'http://' : ''}${canonical}"`;
  return `"${grant}" is no host: write "host", "host:port", "*.domain" or "http://host:port"${near}`;
}
