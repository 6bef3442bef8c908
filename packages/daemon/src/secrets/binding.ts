/**
 * What a secret is for: one header of one origin, one executable, or signing in at one mail server.
 *
 * 1. `https://api.example.com` (then the header is `authorization`), `https://api.example.com:x-api-key`, `exec:/abs/bin`,
 *    `smtp://mail.example.com:587`.
 * 2. HTTP without TLS only on this machine: anywhere else the value would travel in the open.
 */
import { err, type Failure, failure, ok, type Result } from '@runloop/core';
import type { SecretUse } from '@runloop/runtime';

export type Binding = SecretUse;

const idForm = /^runloop\/[a-z0-9][a-z0-9_.-]{0,63}\/[a-z0-9][a-z0-9_.-]{0,63}$/;

export function checkId(id: string): Result<string, Failure> {
  if (idForm.test(id)) return ok(id);
  const hint = 'such as runloop/models/openai';
  return err(failure('Usage', `"${id.slice(0, 100)}" is no id of a secret: runloop/<scope>/<name>`, { hint }));
}

export function parseBinding(text: string): Result<Binding, Failure> {
  if (text.startsWith('exec:')) {
    const path = text.slice('exec:'.length);
    const plain = path.startsWith('/') && !path.includes('\0') && !path.split('/').includes('..');
    return plain ? ok({ type: 'exec', path }) : wrong(text, 'exec: takes the absolute path of a program');
  }
  const mail = /^smtp:\/\/([A-Za-z0-9.-]{1,253}:\d{1,5})$/.exec(text);
  if (mail !== null) return ok({ type: 'smtp', server: (mail[1] ?? '').toLowerCase() });
  const [, origin = '', header = ''] = /^(https?:\/\/[^/?#]*?)\/?(?::([A-Za-z][A-Za-z0-9-]{0,63}))?$/.exec(text) ?? [];
  if (!URL.canParse(origin))
    return wrong(text, 'it is neither an origin with an optional :header nor exec:/abs/bin nor smtp://host:port');
  const url = new URL(origin);
  if (url.username !== '' || url.password !== '') return wrong(text, 'an origin has no user');
  if (url.protocol === 'http:' && !isLoopback(url.hostname))
    return wrong(text, 'without TLS it would travel in the open; http is for this machine alone');
  return ok({ type: 'http', origin: url.origin, header: (header === '' ? 'authorization' : header).toLowerCase() });
}

export function showBinding(binding: Binding): string {
  switch (binding.type) {
    case 'exec':
      return `exec:${binding.path}`;
    case 'smtp':
      return `smtp://${binding.server}`;
    case 'http':
      return `${binding.origin}:${binding.header}`;
    default:
      return binding satisfies never;
  }
}

/** Whether the value may go there; else what the operator would have to say. */
export function permits(id: string, binding: Binding, use: SecretUse): Result<void, Failure> {
  if (showBinding(binding) === showBinding(normal(use))) return ok(undefined);
  const wanted = showBinding(normal(use));
  const message = `the secret ${id} is for ${showBinding(binding)}, not for ${wanted}`;
  return err(failure('CapabilityDenied', message, { hint: `to use it there: rlp secrets put ${id} --for ${wanted}` }));
}

function normal(use: SecretUse): SecretUse {
  return use.type === 'http' ? { ...use, header: use.header.toLowerCase() } : use;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

function wrong(text: string, why: string): Result<never, Failure> {
  const hint = 'such as --for https://api.example.com:x-api-key';
  return err(failure('Usage', `--for ${text.slice(0, 200)}: ${why}`, { hint }));
}
