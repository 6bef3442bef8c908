/**
 * tools.call {tool, arguments}: a tool that the bundle's tools.json declares, over a command, a request or an MCP server.
 *
 * 1. Arguments are checked before anything leaves, results before the agent sees them.
 * 2. A secret is put into its header at the last moment; nothing recorded holds it, and what comes back is scrubbed.
 */
import {
  type Clock,
  err,
  type ErrorCode,
  failure,
  type Failure,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  ok,
  parseJson,
  type Result,
} from '@runloop/core';
import {
  callMcp,
  callMcpOverHttp,
  type Fetcher,
  type McpServer,
  missingGrant,
  parseFetch,
  performExec,
  planTool,
  type Referents,
  type SchemaChecks,
  type SecretsPort,
  type Tool,
  type ToolPlan,
  type Verdict,
} from '@runloop/runtime';
import type { CallScope, Performed } from '../runs/ports.ts';
import { commandReferents, type ExecCallDeps, sandboxOf } from './exec-calls.ts';
import { refused } from './kb-calls.ts';
import { fillHeaders } from './secret-headers.ts';
import { told } from './telling.ts';

export type ToolCallDeps = ExecCallDeps & {
  readonly clock: Clock;
  readonly fetcher: Fetcher;
  readonly schemas: SchemaChecks;
  readonly secrets: SecretsPort;
  /** The operator's MCP servers, by name. */
  readonly mcpServers: ReadonlyMap<string, McpServer>;
};

type Planned = { readonly tool: Tool; readonly plan: ToolPlan; readonly given: JsonObject };

function planned(args: JsonValue, { bundle }: CallScope): Result<Planned, Failure> {
  const { tool: id, arguments: given = {} } = isJsonObject(args) ? args : {};
  const tool = bundle.tools?.find((one) => one.id === id);
  if (tool === undefined) {
    const names = (bundle.tools ?? []).map((one) => one.id).join(', ');
    const what = `tools.json of ${bundle.name} declares no tool ${JSON.stringify(id ?? '').slice(0, 80)}`;
    return err(failure('InvalidParams', `${what}; it declares ${names === '' ? 'none' : names}`));
  }
  if (!isJsonObject(given)) return err(failure('InvalidParams', `tools.call ${tool.id}: arguments must be a map`));
  const plan = planTool(tool, given);
  return plan.ok ? ok({ tool, plan: plan.value, given }) : plan;
}

export function missingForTool(args: JsonValue, scope: CallScope): Verdict | undefined {
  const found = planned(args, scope);
  return found.ok ? missingGrant(scope.caps, found.value.tool, found.value.plan) : undefined;
}

export async function toolReferents(
  { mcpServers }: ToolCallDeps,
  args: JsonValue,
  scope: CallScope,
): Promise<Referents> {
  const found = planned(args, scope);
  if (!found.ok) return {};
  const { tool, plan } = found.value;
  const server = plan.type === 'mcp' ? mcpServers.get(plan.server) : undefined;
  const command = plan.type === 'exec' ? plan.command : server?.type === 'program' ? server.command : undefined;
  const executable = command === undefined ? {} : await commandReferents(command);
  return { [`tool ${tool.id}`]: tool.digest, ...executable };
}

export async function performTool(
  deps: ToolCallDeps,
  args: JsonObject,
  scope: CallScope,
  signal: AbortSignal,
): Promise<Performed> {
  const found = planned(args, scope);
  if (!found.ok) return refused(found.error);
  const { tool, plan, given } = found.value;
  const fits = await deps.schemas.check(tool.inputSchema, given);
  if (!fits.ok) return refused(failure('InvalidParams', `tools.call ${tool.id}: arguments: ${fits.error.message}`));
  const startedMs = deps.clock.monotonicMs();
  const outcome = await checked(deps, tool, await transported(deps, plan, scope, signal));
  return told(
    outcome.ok
      ? { ok: true, value: outcome.value }
      : { ok: false, code: outcome.error.code, message: deps.secrets.scrub(outcome.error.message), retryable: false },
    scope,
    {
      op: 'tools.call',
      target: tool.id,
      startedMs,
      endedMs: deps.clock.monotonicMs(),
      more: { transport: plan.type },
    },
  );
}

async function checked(
  { schemas, secrets }: ToolCallDeps,
  tool: Tool,
  outcome: Result<JsonValue, Failure>,
): Promise<Result<JsonValue, Failure>> {
  if (!outcome.ok) return outcome;
  const value = scrubbed(outcome.value, secrets);
  const fits = await schemas.check(tool.resultSchema, value);
  return fits.ok ? ok(value) : err(failure('ProviderFailed', `${tool.id}: its result: ${fits.error.message}`));
}

async function transported(
  deps: ToolCallDeps,
  plan: ToolPlan,
  scope: CallScope,
  signal: AbortSignal,
): Promise<Result<JsonValue, Failure>> {
  switch (plan.type) {
    case 'exec': {
      const { command, argv, stdin } = plan;
      const args = { command, argv, ...(stdin === undefined ? {} : { stdin }) };
      const ran = await performExec(deps, args, sandboxOf(deps, scope), signal);
      if (!ran.ok) return err(failure(ran.code as ErrorCode, ran.message));
      const { exit_code: code, stdout, stderr } = ran.value as { [key: string]: JsonValue };
      if (code !== 0) {
        const why = deps.secrets.scrub(String(stderr)).slice(0, 500);
        return err(failure('ProviderFailed', `${command} ended with ${String(code)}: ${why}`));
      }
      return ok(jsonOr(String(stdout)));
    }
    case 'http':
      return request(deps, plan.request, scope, signal);
    case 'mcp': {
      const server = deps.mcpServers.get(plan.server);
      if (server === undefined) {
        const hint = `name it in the configuration: tools.mcp.servers.${plan.server} = { command, args }`;
        return err(failure('ProviderUnavailable', `there is no MCP server ${plan.server} here`, { hint }));
      }
      const sandbox = sandboxOf(deps, scope);
      return server.type === 'url'
        ? callMcpOverHttp(deps.fetcher, server.url, plan, sandbox.wallMsMax, signal)
        : callMcp(deps, server, plan, sandbox, signal);
    }
    default:
      return plan satisfies never;
  }
}

async function request(
  { fetcher, secrets }: ToolCallDeps,
  given: JsonObject & { readonly url: string },
  scope: CallScope,
  signal: AbortSignal,
): Promise<Result<JsonValue, Failure>> {
  const { origin } = new URL(given.url);
  const filled = await fillHeaders(secrets, given, origin);
  if (!filled.ok) return filled;
  const asked = parseFetch(filled.value);
  if (!asked.ok) return asked;
  const answer = await fetcher.fetch(asked.value, scope.caps.net, signal);
  if (!answer.ok) return answer;
  const { status, body } = answer.value;
  const value = typeof body === 'string' ? jsonOr(body) : (body ?? null);
  if (typeof status !== 'number' || status >= 400) {
    return err(
      failure(
        'ProviderFailed',
        `${origin} answered ${String(status)}: ${secrets.scrub(JSON.stringify(value)).slice(0, 500)}`,
      ),
    );
  }
  return ok(value);
}

function jsonOr(text: string): JsonValue {
  const parsed = parseJson(text);
  return parsed.ok ? parsed.value : text;
}

function scrubbed(value: JsonValue, secrets: SecretsPort): JsonValue {
  if (typeof value === 'string') return secrets.scrub(value);
  if (Array.isArray(value)) return (value as readonly JsonValue[]).map((item) => scrubbed(item, secrets));
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [secrets.scrub(key), scrubbed(item, secrets)]));
}

/** `tools.mcp.servers` of the configuration: `{name: {command, args} | {url}}`. */
export function mcpServersOf(servers: JsonValue): Result<ReadonlyMap<string, McpServer>, Failure> {
  const found = new Map<string, McpServer>();
  for (const [name, given] of Object.entries(isJsonObject(servers) ? servers : {})) {
    const { command, args = [], url } = isJsonObject(given) ? given : {};
    const isList = Array.isArray(args) && args.every((one) => typeof one === 'string');
    if (typeof url === 'string' && command === undefined && URL.canParse(url)) found.set(name, { type: 'url', url });
    else if (typeof command === 'string' && command.startsWith('/') && isList && url === undefined)
      found.set(name, { type: 'program', command, args });
    else {
      const shapes = '{ command: "/abs/path", args: [texts] } or { url: "https://host/path" }';
      return err(failure('InvalidConfig', `tools.mcp.servers.${name} must be ${shapes}`));
    }
  }
  return ok(found);
}
