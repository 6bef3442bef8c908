/**
 * URL and URLSearchParams, enough for agents: absolute http(s)-like URLs, relative ones against a base, the query.
 *
 * It deliberately does not do IDNA, percent-encoding of hosts, or schemes without an authority.
 */
const shape =
  /^([a-z][a-z0-9+.-]*):\/\/(?:([^/?#@]*)@)?([^/?#:]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?([^?#]*)(\?[^#]*)?(#.*)?$/i;
const defaultPorts: { readonly [protocol: string]: string } = {
  'http:': '80',
  'https:': '443',
  'ws:': '80',
  'wss:': '443',
};

export class AgentUrlSearchParams {
  readonly #pairs: [string, string][] = [];
  constructor(init: string | { readonly [key: string]: string } = '') {
    if (typeof init !== 'string') {
      for (const [key, value] of Object.entries(init)) this.append(key, value);
      return;
    }
    for (const part of init.replace(/^\?/, '').split('&').filter(Boolean)) {
      const [key = '', ...rest] = part.split('=');
      this.append(unescape(key), unescape(rest.join('=')));
    }
  }
  append(key: string, value: string): void {
    this.#pairs.push([key, value]);
  }
  set(key: string, value: string): void {
    this.delete(key);
    this.append(key, value);
  }
  delete(key: string): void {
    for (let i = this.#pairs.length - 1; i >= 0; i -= 1) if (this.#pairs[i]?.[0] === key) this.#pairs.splice(i, 1);
  }
  get(key: string): string | null {
    return this.#pairs.find(([name]) => name === key)?.[1] ?? null;
  }
  getAll(key: string): string[] {
    return this.#pairs.filter(([name]) => name === key).map(([, value]) => value);
  }
  has(key: string): boolean {
    return this.#pairs.some(([name]) => name === key);
  }
  toString(): string {
    return this.#pairs.map(([key, value]) => `${escape(key)}=${escape(value)}`).join('&');
  }
  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.#pairs[Symbol.iterator]();
  }
}

export class AgentUrl {
  readonly protocol: string;
  readonly username: string;
  readonly password: string;
  readonly hostname: string;
  readonly port: string;
  readonly pathname: string;
  readonly hash: string;
  readonly searchParams: AgentUrlSearchParams;
  readonly #search: string;

  constructor(text: string, base?: string | AgentUrl) {
    const match = shape.exec(base === undefined ? text.trim() : resolve(text.trim(), String(base)));
    if (match === null) throw new TypeError(`Invalid URL: ${text}`);
    const [, protocol = '', userinfo = '', host = '', port = '', path = '', search = '', hash = ''] = match;
    const [username = '', ...password] = userinfo.split(':');
    this.protocol = `${protocol.toLowerCase()}:`;
    this.username = username;
    this.password = password.join(':');
    this.hostname = host.toLowerCase();
    this.port = port === defaultPorts[this.protocol] ? '' : port;
    this.pathname = normalisePath(path);
    this.#search = search === '?' ? '' : search;
    this.hash = hash === '#' ? '' : hash;
    this.searchParams = new AgentUrlSearchParams(this.#search);
  }
  get search(): string {
    const text = this.searchParams.toString();
    return text === new AgentUrlSearchParams(this.#search).toString() ? this.#search : `?${text}`;
  }
  get host(): string {
    return this.port === '' ? this.hostname : `${this.hostname}:${this.port}`;
  }
  get origin(): string {
    return `${this.protocol}//${this.host}`;
  }
  get href(): string {
    const password = this.password === '' ? '' : `:${this.password}`;
    const user = this.username === '' && password === '' ? '' : `${this.username}${password}@`;
    return `${this.protocol}//${user}${this.host}${this.pathname}${this.search}${this.hash}`;
  }
  toString(): string {
    return this.href;
  }
  toJSON(): string {
    return this.href;
  }
}

function resolve(text: string, base: string): string {
  if (/^[a-z][a-z0-9+.-]*:/i.test(text)) return text;
  const from = new AgentUrl(base);
  if (text.startsWith('//')) return `${from.protocol}${text}`;
  if (text.startsWith('/')) return `${from.origin}${text}`;
  if (text.startsWith('?')) return `${from.origin}${from.pathname}${text}`;
  if (text.startsWith('#')) return `${from.origin}${from.pathname}${from.search}${text}`;
  return `${from.origin}${from.pathname.replace(/[^/]*$/, '')}${text}`;
}

function normalisePath(path: string): string {
  const kept: string[] = [];
  const segments = path.split('/').slice(1);
  segments.forEach((segment, index) => {
    const last = index === segments.length - 1;
    if (segment === '..') kept.pop();
    else if (segment !== '.') kept.push(segment);
    if (last && (segment === '..' || segment === '.')) kept.push('');
  });
  return `/${kept.join('/')}`;
}

function escape(text: string): string {
  return encodeURIComponent(text)
    .replace(/%20/g, '+')
    .replace(/[!'()~]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

function unescape(text: string): string {
  const spaced = text.replace(/\+/g, ' ');
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced;
  }
}
