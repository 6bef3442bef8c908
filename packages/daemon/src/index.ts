/**
 * runloopd: sockets, sessions, control, runs, supervision.
 */
export {
  type ControlPort,
  type ControlRequest,
  type Peer,
  type PeerPort,
  type RunOwners,
  type SessionLimits,
  type SessionServer,
  type SessionServerDeps,
  type SessionServerStats,
  type TokenHolder,
  type TokenPort,
  changesSomething,
  createSessionServer,
  defaultSessionLimits,
} from './sessions/index.ts';
export {
  type ClientToken,
  type Tokens,
  type TokensDeps,
  clientTokensMax,
  openTokens,
  operatorTokenFile,
} from './tokens/index.ts';
export { type Daemon, type DaemonDeps, type DaemonOptions, openDaemon } from './daemon.ts';
export { migrateHome, restoreHome } from './home/alone.ts';
export { type Home, checkoutRoot, homeAt, searchDirs } from './home/home.ts';
export { version } from './version.ts';
export { type CaseResult, type Tried, type TryRequest, runCases, runTypeScriptTests, tryAgent } from './agents/try.ts';
export { type BuildRequest, type Built, buildAgents } from './agents/build.ts';
export { lintCaps } from '@runloop/runtime';
export { lintFolder, makeKeyPair, packFolder, signFolder } from './agents/author.ts';
export {
  type TrustChange,
  addAnchor,
  changeTrust,
  publicKeyFrom,
  readTrustPolicy,
  removeAnchor,
  revoke,
} from './agents/edit-trust.ts';
export { type SecretsPlace, inspectSecrets } from './secrets/inspect.ts';
export { type Replayer, openReplayer } from './replay/replay.ts';
export { type NodeReplay, type ReplayDivergence, type ReplayReport } from './replay/report.ts';
export { readTapeFile, tapeFileBytesMax } from './replay/tape-file.ts';
export { type CommandLimits, probeCommands, type SandboxLayers, probeSandbox } from '@runloop/runtime';
