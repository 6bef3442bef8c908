/** What the builder process is asked and what it answers; plain JSON, for it crosses a pipe. */
import type { ErrorCode } from '@runloop/core';
import type { WasiGrants } from './cell/operations.ts';
import type { Backend } from './manifest.ts';

export type BuildJob = {
  readonly type: 'build';
  /** The agent's folder: what errors call files relative to. */
  readonly dir: string;
  readonly backend: Backend;
  /** The module whose default export is the agent. */
  readonly entry: string;
  /** Folder of the package `@runloop/agent`. */
  readonly sdkDir: string;
  /** Prefer the export condition `source`. */
  readonly fromSource: boolean;
  readonly out: string;
};

export type PrepareJob = {
  readonly type: 'prepare';
  readonly component: string;
  /** BLAKE3 of the component that was checked: another one in its place is refused. */
  readonly digest: string;
  readonly kind: 'component' | 'command';
  readonly outDir: string;
  readonly memoryBytes: number;
  /** Decimal digits of a 64-bit integer. */
  readonly fuel: string;
  /** Which of WASI's own functions become host calls. */
  readonly wasi: WasiGrants;
};

export type AdaptJob = {
  readonly type: 'adapt';
  /** A core module of WASI preview 1, or a component, which stays what it is. */
  readonly program: string;
  /** Holds `out`; the builder may write nothing else. */
  readonly outDir: string;
  readonly out: string;
};

export type BundleJob = {
  readonly type: 'bundle';
  readonly entry: string;
  readonly fromSource: boolean;
  readonly out: string;
};

export type UnpackJob = {
  readonly type: 'unpack';
  readonly archive: string;
  /** Empty; the builder may write nothing else. */
  readonly outDir: string;
};

export type BuilderJob = BuildJob | AdaptJob | PrepareJob | BundleJob | UnpackJob;

export type LayoutEntry = { readonly name: string; readonly offset: number; readonly bytes: number };

/** A component that cells can run: where its files are, and within which limits. */
export type PreparedComponent = {
  readonly key: string;
  readonly dir: string;
  readonly files: PreparedFiles;
  readonly memoryBytes: number;
  readonly fuel: bigint;
};

export type PreparedFiles = {
  readonly code_sha256: string;
  readonly cache_sha256: string;
  readonly modules_sha256: string;
  readonly layout: readonly LayoutEntry[];
  /** Machine code of one of the modules, in `agent.hot`. */
  readonly hot?: { readonly module: string; readonly sha256: string };
};

/** A package or program of a known version. */
export type Part = { readonly from: 'npm' | 'host'; readonly name: string; readonly version: string };
/** What went into a component, and what made it. */
export type Parts = { readonly bundled: readonly Part[]; readonly tools: readonly Part[] };

export type BuilderAnswer =
  | { readonly ok: true; readonly files?: PreparedFiles; readonly bytes?: number; readonly parts?: Parts }
  | { readonly ok: false; readonly code: ErrorCode; readonly message: string };
