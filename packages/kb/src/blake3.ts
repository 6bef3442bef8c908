/**
 * BLAKE3 for the writer: core's WASM build, about ten times as fast on short messages as the JavaScript one that core uses
 * elsewhere (docs/decisions/0101-blake3-in-wasm.md).
 */
export { type Blake3, loadBlake3 } from '@runloop/core';
