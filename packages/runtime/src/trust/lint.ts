/**
 * What is wrong or too broad in a `policy.caps`: for its author before a release, for an operator before an install.
 *
 * An error is what is refused or can never match; a warning is what grants more than one agent is likely to need.
 */
import { parse } from 'smol-toml';
import { isJsonObject } from '@runloop/core';
import { type Caps, parseCaps } from '../caps.ts';
import { agentLimitsMax, type AgentLimits } from '../limits.ts';

export type Finding = { readonly severity: 'error' | 'warning'; readonly key: string; readonly message: string };

/** What the parser says names the key first, where it knows one. */
function refused(said: string): Finding {
  const [, key, message] = /^policy\.caps: "([\w.]+)":? (.*)$/s.exec(said) ?? [];
  return { severity: 'error', key: key ?? 'policy.caps', message: message ?? said };
}

const warning = (key: string, message: string): Finding => ({ severity: 'warning', key, message });

export function lintCaps(text: string): readonly Finding[] {
  const parsed = parseCaps(text);
  if (!parsed.ok) return [refused(parsed.error.message)];
  const caps = parsed.value;
  return [
    ...caps.net.flatMap(lintHost),
    ...lintDomains('kb_read', caps.kb_read, 'reads everything that is known'),
    ...lintDomains('kb_write', caps.kb_write, 'writes whatever it likes'),
    ...lintModel(caps.model),
    ...caps.exec.flatMap(({ command, argv }) => lintExec(command, argv)),
    ...lintMail(caps.mail),
    ...lintFolders(text),
    ...Object.entries(caps.limits)
      .filter(([key, amount]) => amount === agentLimitsMax[key as keyof AgentLimits])
      .map(([key, amount]) =>
        warning(`limits.${key}`, `${amount} is the most that is allowed; ask for what is needed`),
      ),
  ];
}

function lintHost(host: string): readonly Finding[] {
  const found: Finding[] = [];
  const bare = host.replace(/^http:\/\//, '');
  if (bare !== host)
    found.push(warning('net', `"${host}" is not encrypted: whoever is on the way reads and changes it`));
  if (/^\*\.[^.]+$/.test(bare)) found.push(warning('net', `"${host}" covers a whole top-level domain`));
  return found;
}

function lintDomains(key: 'kb_read' | 'kb_write', given: Caps['kb_read'], what: string): readonly Finding[] {
  return given === true ? [warning(key, `true ${what}; name domains, as in ${key} = ["notes"]`)] : [];
}

function lintModel(model: Caps['model']): readonly Finding[] {
  if (model === false) return [];
  const found = model.allow.includes('*')
    ? [warning('model', 'every model may be called; name those that are needed in allow')]
    : [];
  const isOpen = model.tokens_per_run === undefined && model.usd_per_run === undefined;
  return isOpen
    ? [...found, warning('model', 'nothing limits what it spends; set tokens_per_run or usd_per_run')]
    : found;
}

const interpreters =
  /^(?:(?:ba|da|z|fi|k|c|tc)?sh|python[\d.]*|perl|ruby|node|deno|bun|php|lua|awk|gawk|env|xargs|find|sudo|doas|su|ssh|nc|ncat|socat|make|vim?|ed|busybox|tar|nsenter|unshare|docker|podman)$/;

function lintExec(command: string, argv: readonly string[]): readonly Finding[] {
  const name = command.split('/').pop() ?? '';
  const found: Finding[] = [];
  if (interpreters.test(name)) found.push(warning('exec', `${command} runs whatever its arguments or files say`));
  if (argv.length > 0 && argv.every((part) => part.startsWith('{')))
    found.push(warning('exec', `every argument of ${command} is the agent's own; write out what can be`));
  return found;
}

function lintMail(mail: Caps['mail']): readonly Finding[] {
  const open = (mail?.to ?? []).filter((to) => to === '*' || to.startsWith('*@*') || !to.includes('@'));
  return open.map((to) =>
    warning('mail', `"${to}" lets it write to anybody; name addresses or a domain, as in "*@example.com"`),
  );
}

const secretPlaces =
  /^(?:\/|~\/?|\/(?:etc|root|home|var|usr|boot)\/?|(?:~|\/root|\/home\/[^/]+)\/\.(?:ssh|gnupg|aws|azure|kube|docker|config|password-store|mozilla|local)(?:\/.*)?)$/;

/** Read from the text itself: what a version of this host refuses is still worth a word. */
function lintFolders(text: string): readonly Finding[] {
  const root: unknown = JSON.parse(JSON.stringify(parse(text)));
  const list: unknown = isJsonObject(root) ? root['fs'] : undefined;
  if (!Array.isArray(list)) return [];
  return list.flatMap((one: unknown) => {
    const path = isJsonObject(one) ? one['path'] : one;
    if (typeof path !== 'string' || !secretPlaces.test(path)) return [];
    return [warning('fs', `"${path}" holds secrets or far more than one agent needs; name a folder of its own`)];
  });
}
