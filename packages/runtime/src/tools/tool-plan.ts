/**
 * What a call of a tool comes to: a command, a request, or a call of a server; and which grants that takes.
 *
 * 1. An argument takes the place of one whole argument of a command, or, percent-encoded, of one part of a URL: it can make
 *    neither an option, nor another host, nor another path.
 * 2. Secrets are still named, not filled in: what is shown, recorded and granted is the plan with their names.
 */
import { type Failure, type JsonObject, type JsonValue, type Result, err, failure, ok } from '@runloop/core';
import type { Caps } from '../caps.ts';
import { fits, placeholderName } from '../exec/argv-template.ts';
import { type Verdict, judge } from '../kernel/grants.ts';
import type { Tool, Transport } from './tools-file.ts';

export type ToolPlan =
  | { readonly type: 'exec'; readonly command: string; readonly argv: readonly string[]; readonly stdin?: string }
  | { readonly type: 'http'; readonly request: JsonObject & { readonly url: string } }
  | { readonly type: 'mcp'; readonly server: string; readonly tool: string; readonly arguments: JsonObject };

export function planTool({ id, transport }: Tool, args: JsonObject): Result<ToolPlan, Failure> {
  switch (transport.type) {
    case 'exec':
      return planCommand(id, transport, args);
    case 'http':
      return planRequest(id, transport, args);
    case 'mcp':
      return ok({ type: 'mcp', server: transport.server, tool: transport.tool, arguments: args });
    default:
      return transport satisfies never;
  }
}

/** The first grant that the plan needs and these capabilities do not give. */
export function missingGrant(caps: Caps, tool: Tool, plan: ToolPlan): Verdict | undefined {
  const verdicts = tool.secrets.map((id) => judge(caps, 'secrets', 'secrets.ref', { id }));
  if (plan.type === 'exec')
    verdicts.push(judge(caps, 'exec', 'exec.run', { command: plan.command, argv: [...plan.argv] }));
  if (plan.type === 'http') verdicts.push(judge(caps, 'net', 'http.fetch', { url: plan.request.url }));
  return verdicts.find(({ allowed }) => !allowed);
}

function planCommand(
  id: string,
  { command, args: template }: Extract<Transport, { type: 'exec' }>,
  args: JsonObject,
): Result<ToolPlan, Failure> {
  const argv: string[] = [];
  let isFilled = false;
  for (const part of template) {
    const name = placeholderName(part);
    isFilled ||= name !== undefined;
    const actual = name === undefined ? part : scalar(own(args, name));
    if (actual === undefined || !fits(part, actual)) return wrong(id, `"${name ?? part}" does not fit ${part}`);
    argv.push(actual);
  }
  return ok(isFilled ? { type: 'exec', command, argv } : { type: 'exec', command, argv, stdin: JSON.stringify(args) });
}

function planRequest(
  id: string,
  { method, url: template, headers }: Extract<Transport, { type: 'http' }>,
  args: JsonObject,
): Result<ToolPlan, Failure> {
  let fault: string | undefined;
  const url = template.replaceAll(/\{([a-z][a-z0-9_]*)\}/g, (_, name: string) => {
    const actual = scalar(own(args, name));
    if (actual === undefined || actual === '' || actual === '.' || actual === '..') fault ??= name;
    return encodeURIComponent(actual?.toWellFormed() ?? '');
  });
  if (fault !== undefined) return wrong(id, `"${fault}" does not fit the URL`);
  if (method === 'GET' || method === 'HEAD') return ok({ type: 'http', request: { url, method, headers } });
  const json = { 'content-type': 'application/json', ...headers };
  return ok({ type: 'http', request: { url, method, headers: json, body: JSON.stringify(args) } });
}

function own(args: JsonObject, name: string): JsonValue | undefined {
  return Object.hasOwn(args, name) ? args[name] : undefined;
}

function scalar(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : undefined;
}

function wrong(id: string, why: string): Result<never, Failure> {
  return err(failure('InvalidParams', `tools.call ${id}: the argument ${why}`));
}
