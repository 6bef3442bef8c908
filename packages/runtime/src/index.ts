/**
 * The one door of the runtime: bundles, trust, building agents, cells, and the capability kernel.
 */
export { type Bundle, bundleFiles, fileListName, loadBundle, revocation, signatureName } from './bundle.ts';
export {
  type Anchor,
  type TrustPolicy,
  emptyPolicy,
  formatTrustPolicy,
  parseTrustPolicy,
  tighten,
  trustHost,
} from './trust/policy.ts';
export { compareVersions } from './trust/version.ts';
export type { ExecGrant } from './exec/argv-template.ts';
export { type Finding, lintCaps } from './trust/lint.ts';
export { packBundle, unpackBundle } from './trust/archive.ts';
export { type Narrowed, applyLayer, asksMore, grantsNothing } from './trust/effective.ts';
export { type Manifest, type Ports, parseManifest } from './manifest.ts';
export { type Caps, type CapsLayer, type Domains, noCaps, parseCaps, parseLayer, narrow, expandHome } from './caps.ts';
export { type FsGrant, grantFor, isWithin } from './files/fs-grants.ts';
export { type HostKey, hostKey, makeSigningKey, readSigningKey } from './keys.ts';
export { type BuildOptions, buildAgent, signBundle } from './build-agent.ts';
export { type AgentLimits, defaultAgentLimits, agentLimitsMax } from './limits.ts';
export { type Cells, type CellsDeps, type CellsOptions, type Invocation, createCells } from './cells.ts';
export {
  type AttemptOutcome,
  type AttemptUsage,
  type AttemptFailureCode,
  type HostAnswer,
  type HostCalls,
  type RunIdentity,
  type AgentRequest,
  type TypedValue,
} from './outcome.ts';
export { type CommandLimits, probeCommands } from './exec/probe-commands.ts';
export { type SandboxLayers, probeSandbox } from './sandbox-probes.ts';
export { guardComponent } from './wasm/guard.ts';
export {
  type Kernel,
  type KernelDoor,
  type KernelPorts,
  type KernelContext,
  type CallContext,
  type PerformContext,
  type CallRecord,
  type CallResult,
  type RecordedCall,
  type ApprovalRequest,
  type Referents,
  type ApprovalAnswer,
  type CapAudit,
  type Divergence,
  createKernel,
} from './kernel/kernel.ts';
export { type RetryClass, type CapabilityKey, type Operation, operation, operationNames } from './kernel/operations.ts';
export { type Sink, capsFlow, leakOf, taintOf } from './kernel/flow.ts';
export { type CallPlace, callId } from './kernel/call-id.ts';
export { type ExecOptions, performExec } from './exec/perform-exec.ts';
export { type Fetcher, type FetcherDeps, createFetcher } from './net/fetch.ts';
export { type FetchRequest, parseFetch } from './net/request.ts';
export { executableDigest } from './exec/executable.ts';
export { type Verdict, domainOf, isReadingCommand, judge } from './kernel/grants.ts';
export { type SecretUse, type SecretsPort } from './secrets-port.ts';
export { type Tool, type Transport, parseTools, secretsIn } from './tools/tools-file.ts';
export { type ToolPlan, missingGrant, planTool } from './tools/tool-plan.ts';
export { callMcp } from './tools/mcp.ts';
export { callMcpOverHttp } from './tools/mcp-http.ts';
export { type McpServer } from './tools/mcp-message.ts';
export { type SchemaChecks, createSchemaChecks } from './tools/schema-checks.ts';
export { type Profile, seccompFilter } from './seccomp/profiles.ts';
export { type Files, type FilesOptions, type FileCall, createFiles } from './files/files.ts';
