/**
 * Secrets from the daemon's environment: for development, until a store holds them.
 *
 * `runloop/models/openai` is `RUNLOOP_RUNLOOP_MODELS_OPENAI`. The environment binds no value to a use.
 */
import { err, failure, ok } from '@runloop/core';
import type { SecretsPort } from '@runloop/runtime';

export function envSecrets(env: { readonly [name: string]: string | undefined }): SecretsPort {
  const given = new Set<string>();
  return {
    resolve(id) {
      const name = `RUNLOOP_${id.toUpperCase().replaceAll(/[^A-Z0-9]+/g, '_')}`;
      const value = env[name];
      if (value === undefined || value === '') {
        const hint = `start the daemon with ${name} set`;
        return Promise.resolve(err(failure('NotFound', `there is no secret ${id}`, { hint })));
      }
      for (const form of forms(value)) given.add(form);
      return Promise.resolve(ok(value));
    },
    scrub(text) {
      let clean = text;
      for (const form of given) clean = clean.replaceAll(form, '[secret]');
      return clean;
    },
  };
}

/** The value, and how it looks where somebody has encoded it; the longest first. */
function forms(value: string): readonly string[] {
  const bytes = Buffer.from(value, 'utf8');
  const base64 = bytes.toString('base64');
  const all = [value, base64, base64.replace(/=+$/, ''), bytes.toString('base64url'), bytes.toString('hex')];
  const more = [encodeURIComponent(value), JSON.stringify(value).slice(1, -1), bytes.toString('hex').toUpperCase()];
  return [...new Set([...all, ...more])].sort((a, b) => b.length - a.length);
}
