/**
 * The runtime's limits, each with its unit in its name. A test reaches each of them.
 */
import { bodyBytesMax } from '@runloop/core';

/** A component larger than this is refused before it is parsed. */
export const componentBytesMax: number = 50 * 1024 * 1024;
/** Core modules and nested components of one component together. */
export const componentPartsMax = 256;
/** Length of an import or export name. */
export const wasmNameBytesMax = 256;
export const wasmPageBytes = 65_536;
/** Entries of one table; QuickJS needs about 3 000. */
export const tableEntriesMax = 100_000;
/** Units of fuel (function entries and loop turns; see below for the rest) that stand for a millisecond of CPU: about what QuickJS uses here. */
export const fuelPerCpuMs = 400_000;
/** Bytes that one unit of fuel fills, copies or adds to a memory; what an entry of a table, and growing a memory, cost. */
export const fuelBytes = 64;
export const fuelPerTableEntry = 8;
export const fuelPerGrow = 128;
/** A builder process that takes longer is killed. */
export const builderMsMax = 60_000;
/** What a builder process may say on its standard output and error together. */
export const builderOutputBytesMax: number = 1024 * 1024;
/** A rehearsal that takes longer is given up: the component has no machine code beforehand. */
export const rehearsalMsMax = 5_000;
/** Machine code kept of one component; of more, none is kept. */
export const hotCodeBytesMax: number = 6 * 1024 * 1024;
/** Time that the sandbox's launcher has to show that it works here. */
export const launcherMsMax = 5_000;
/** A frame of a cell; larger ends the cell. */
export const channelBodyBytesMax: number = bodyBytesMax;
/** Log text of one attempt that is passed on; the rest is counted. */
export const logBytesMax: number = 256 * 1024;
/** One log line; the rest of it is cut. */
export const logLineBytesMax: number = 8 * 1024;
/** Arguments of one host call as JSON text. */
export const hostArgsBytesMax: number = 1024 * 1024;
/** Runs that a trusted bundle's cell serves before it is thrown away. */
export const cellRunsMax = 200;
/** Cells that stand ready, of all bundles together. */
export const sparesMax = 8;
/** How long spares stay when nothing runs. */
export const spareIdleMs = 30_000;
/** A guest that computes longer than this without asking its host anything gives way to every other process. */
export const turnMsMax = 100;
/** How much a component that does not share gives way, as `nice` counts, and one in a long turn. */
export const aloneNice = 10;
export const longTurnNice = 15;
/** Attempts in one shared cell at a time, and all that it serves before it is thrown away. */
export const sharedAttemptsMax = 1_024;
export const sharedRunsMax = 10_000;
/** Shared cells of one key: one for each core is enough, as no two guests of one cell compute at once. */
export const sharedCellsMax = 2;
/** Components that are remembered for computing too long to share a cell. */
export const aloneMax = 1_024;
/** How long a guest in a shared cell may compute in one turn, as fuel, before it goes to a cell of its own. */
export const sharedTurnMs = 20;
/** A shared cell that uses this much processor time and says nothing is killed. */
export const sharedTurnMsMax = 250;
/** What a shared cell's V8 heap may hold, beside its guests' own memories. */
export const sharedHeapMib = 768;
/** Cells alive at once; more wait. */
export const cellsMax = 64;
/** What a cell's V8 heap may hold, beside the guest's own memory. */
export const cellHeapMib = 128;
/** manifest.toml, and policy.caps. */
export const manifestBytesMax: number = 256 * 1024;
/** Files of a bundle, and their bytes. */
export const bundleFilesMax = 4096;
export const bundleBytesMax: number = 256 * 1024 * 1024;
/** Length of a path in an archive, and of one of its segments. */
export const archivePathBytesMax = 512;
export const archiveSegmentBytesMax = 128;
/** What an archive may hold beside its files' bytes: headers and padding, for each entry. */
export const archiveEntryOverheadBytes: number = 16 * 1024;
/** Size of trust-policy.toml, and how many anchors and revocations it may hold. */
export const trustPolicyBytesMax: number = 1024 * 1024;
export const anchorsMax = 256;
export const revocationsMax = 10_000;
/** Arguments that may follow those of an exec grant's template. */
export const execMoreMax = 32;
/** What is said of a call's target, and of the grant that it lacks. */
export const targetCharsMax = 200;
export const grantCharsMax = 600;
/** What a child of exec may print on each stream. */
export const execOutputBytesMax: number = 256 * 1024;
/** `tools.json`, and the tools in it. */
export const toolsFileBytesMax: number = 256 * 1024;
export const toolsMax = 64;
/** A schema of a bundle: how deep it goes, and of how many parts it is. */
export const schemaDepthMax = 32;
export const schemaPartsMax = 2_000;
/** One check of a value: its time, what its thread may hold, and how long that may take to start. */
export const schemaMsMax = 1_000;
export const schemaThreadMib = 64;
export const schemaStartMsMax = 10_000;
/** What an MCP server may say in one call. */
export const mcpBytesMax: number = 1024 * 1024;
/** Body of a request of http.fetch. */
export const httpRequestBytesMax: number = 1024 * 1024;
/** Headers that an agent may set. */
export const httpRequestHeadersMax = 64;
/** Body of an answer, decoded; the rest is not read. */
export const httpBodyBytesMax: number = 1024 * 1024;
/** Headers of an answer. */
export const httpHeaderBytesMax: number = 32 * 1024;
export const httpRedirectsMax = 5;
export const httpConnectMsMax = 10_000;
/** All of a request: what an agent gets when it says nothing, and what it may ask for. */
export const httpMsDefault = 30_000;
export const httpMsMax = 120_000;
/** Origins to which connections are kept. */
export const httpOriginsMax = 1024;
/** Processes and threads of one command. */
export const execProcessesMax = 256;
/** Descriptors that each of its processes may hold. */
export const execFilesOpenMax = 256;
/** What each of its processes may have of memory for itself, and what it may map in all, shared memory included. */
export const execMemoryBytesMax: number = 1024 * 1024 * 1024;
export const execMappedBytesMax: number = 8 * 1024 * 1024 * 1024;
/** A file that it writes. */
export const execFileBytesMax: number = 256 * 1024 * 1024;
/** What it may leave in /tmp, and in /dev/shm. */
export const execScratchBytesMax: number = 64 * 1024 * 1024;
/** What one call reads of a file, or writes to it. */
export const fileReadBytesMax: number = 256 * 1024;
export const fileWriteBytesMax: number = 256 * 1024;
/** How large a file may become by what an agent writes. */
export const fileBytesMax: number = 1024 * 1024 * 1024;
/** Names in one answer of fs.list, and in a directory that is listed at all. */
export const filePageMax = 1000;
export const directoryEntriesMax = 100_000;
/** File calls under way at once, of all agents; libuv has four threads for everything that waits on a disk. */
export const fileCallsAtOnceMax = 2;

/** An agent's own limits, as policy.caps may set them, and their defaults. */
export type AgentLimits = {
  readonly memory_mib: number;
  readonly cpu_ms: number;
  readonly wall_ms: number;
  readonly output_kib: number;
  readonly files_open: number;
  readonly hostcalls: number;
};

export const defaultAgentLimits: AgentLimits = {
  memory_mib: 64,
  cpu_ms: 5_000,
  wall_ms: 30_000,
  output_kib: 1_024,
  files_open: 32,
  hostcalls: 10_000,
};

/** What a bundle may ask for at most. */
export const agentLimitsMax: AgentLimits = {
  memory_mib: 1_024,
  cpu_ms: 600_000,
  wall_ms: 3_600_000,
  output_kib: 4_096,
  files_open: 256,
  hostcalls: 100_000,
};
