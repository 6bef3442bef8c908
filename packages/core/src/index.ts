/**
 * The one door of core: ids, results, the error table, limits, canonical JSON and digests, ports, run events, safe text.
 *
 * Bytes on sockets, files and SQL are not here.
 */
export { type Result, type Ok, type Err, ok, err, unwrap } from './result.ts';
export {
  type JsonValue,
  type JsonObject,
  type NotCanonical,
  canonicalJson,
  isJsonObject,
  parseJson,
  jsonDepthMax,
  eventLevelsMax,
  wellFormed,
} from './json.ts';
export { type Digest, blake3Bytes, digestBytes, digestText, digestJson, isDigest, toHex, fromHex } from './digest.ts';
export { publicKeyId, publicKeyOf } from './public-key.ts';
export { type Blake3, digestLarge, hashInWasm, loadBlake3 } from './fast-digest.ts';
export {
  type TraceId,
  type RunId,
  type ActionId,
  namePattern,
  isName,
  newTraceId,
  newRunId,
  newActionId,
  parseTraceId,
} from './ids.ts';
export { type Clock, type Random, type Log, type LogLevel, type LogFields, sleep } from './ports.ts';
export {
  type Label,
  type LabelSource,
  cleanLabel,
  isClean,
  joinLabels,
  labelOf,
  labelSourcesMax,
  readBy,
  readLabel,
} from './label.ts';
export { runFolder } from './run-folder.ts';
export { type JoinedSignal, joinSignals } from './signals.ts';
export { systemClock, systemRandom } from './system.ts';
export { startModuleThread } from './module-thread.ts';
export { seededRandom, fraction } from './seeded.ts';
export { showJson, showLine, showText, nearest } from './text.ts';
export {
  type ErrorKind,
  type ErrorRow,
  type ErrorCode,
  type RmpErrorCode,
  type SessionErrorCode,
  type Failure,
  errorTable,
  rmpErrorCodes,
  sessionErrorCodes,
  failure,
  isErrorCode,
} from './errors.ts';
export {
  type RunEvent,
  type RunEventKind,
  type StreamedKind,
  type LedgerOnlyKind,
  type LossyKind,
  streamedKinds,
  ledgerOnlyKinds,
  lossyKinds,
  isStreamedKind,
} from './run-event.ts';
export { bodyBytesMax, inlineBytesMax, socketPathBytesMax, mainThreadBytesMax } from './limits.ts';
export { type Config, type KeyRow, configKeys } from './config/schema.ts';
export { type Layer, type Resolved, environmentLayer, resolveConfig } from './config/layers.ts';
export { type ConfigSources, loadConfig } from './config/load.ts';
export { makeDirectory } from './directory.ts';
