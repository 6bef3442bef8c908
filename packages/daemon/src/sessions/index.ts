/**
 * Sessions on the daemon's socket.
 */
export { type SessionServer, type SessionServerDeps, type SessionServerStats, createSessionServer } from './server.ts';
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
