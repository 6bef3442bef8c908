/**
 * The client: connect, call, subscribe, publish, request, follow. For users too.
 *
 * Importing this loads neither the frame codec nor native code: `connect` and `peerCredentials` do.
 */
export { type ConnectOptions, connect } from './connect.ts';
export {
  type CallOptions,
  type Client,
  type FollowOptions,
  type Message,
  type Publication,
  type Published,
  type Subscription,
  type Welcome,
} from './client.ts';
export { type AskOptions, type Outgoing } from './connection.ts';
export { FollowError } from './follow-error.ts';
export { type PeerCredentials, peerCredentials } from './peer.ts';
export {
  bufferedMessagesMax,
  callTimeoutMs,
  followEventsMax,
  followWaitMs,
  helloTimeoutMs,
  messageTtlMs,
  pendingMax,
} from './limits.ts';
