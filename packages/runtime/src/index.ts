/**
 * Bundles, trust, the capability kernel, the builder, cells and the WASI host.
 */
export {};
