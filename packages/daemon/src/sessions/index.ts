/**
 * Sessions on the daemon's socket.
 */
export type { SessionServerDeps } from './context.ts';
export { type SessionServer, type SessionServerStats, createSessionServer } from './server.ts';
export { type SessionLimits, defaultSessionLimits } from './limits.ts';
export {
  type ControlPort,
  type ControlRequest,
  type Peer,
  type PeerPort,
  type RunOwners,
  type TokenHolder,
  type TokenPort,
} from './ports.ts';
export { changesSomething } from './idempotency.ts';
