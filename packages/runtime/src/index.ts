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
export { type Finding, lintCaps } from './trust/lint.ts';
export { packBundle, unpackBundle } from './trust/archive.ts';
export { type Narrowed, applyLayer, asksMore, grantsNothing } from './trust/effective.ts';
export { type Manifest, type Ports, parseManifest } from './manifest.ts';
export {
  type Caps,
  type CapsLayer,
  type ExecGrant,
  type Domains,
  noCaps,
  parseCaps,
  parseLayer,
  narrow,
  expandHome,
} from './caps.ts';
export { type FsGrant, grantFor, isWithin } from './files/fs-grants.ts';
export { type HostKey, hostKey, makeSigningKey, publicKeyId, publicKeyOf, readSigningKey } from './keys.ts';
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
  type CapAudit,
  type Divergence,
  createKernel,
} from './kernel/kernel.ts';
export { type RetryClass, type CapabilityKey, type Operation, operation, operationNames } from './kernel/operations.ts';
export { type Sink, capsFlow, leakOf, taintOf } from './kernel/flow.ts';
export { type CallPlace, callId } from './kernel/call-id.ts';
export { type ExecOptions, performExec } from './perform-exec.ts';
export { type Files, type FilesOptions, type FileCall, createFiles } from './files/files.ts';
