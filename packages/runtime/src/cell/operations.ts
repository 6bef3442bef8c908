/**
 * The world's imports by interface, and the operation that each function is to the kernel.
 *
 * The builder marks these as suspending, the cell answers them by host calls; `log` and `run` never leave the cell's turn.
 */
export const hostFunctions: { readonly [interfaceName: string]: { readonly [name: string]: string } } = {
  'runloop:agent/model': { complete: 'model.complete', embed: 'model.embed' },
  'runloop:agent/kb': { query: 'kb.query', search: 'kb.search', why: 'kb.why', propose: 'kb.propose' },
  'runloop:agent/http': { fetch: 'http.fetch' },
  'runloop:agent/exec': { run: 'exec.run' },
  'runloop:agent/tools': { call: 'tools.call' },
  'runloop:agent/secrets': { ref: 'secrets.ref' },
  'runloop:agent/mailbox': { receive: 'mailbox.receive', send: 'mailbox.send' },
  'runloop:agent/mail': { send: 'mail.send' },
  'runloop:agent/fs': {
    stat: 'fs.stat',
    list: 'fs.list',
    read: 'fs.read',
    write: 'fs.write',
    mkdir: 'fs.mkdir',
    remove: 'fs.remove',
    rename: 'fs.rename',
  },
  'runloop:agent/clock': { now: 'clock.now', sleep: 'clock.sleep' },
};

/** WASI's own functions that become host calls where directories or real clocks are asked for; without a version. */
const fileMethods =
  'read write set-size stat stat-at open-at create-directory-at remove-directory-at unlink-file-at rename-at'.split(
    ' ',
  );
const wasiFiles: readonly string[] = [
  ...fileMethods.map((method) => `wasi:filesystem/types#[method]descriptor.${method}`),
  'wasi:filesystem/types#[method]directory-entry-stream.read-directory-entry',
  ...['read', 'blocking-read', 'skip', 'blocking-skip'].map((name) => `wasi:io/streams#[method]input-stream.${name}`),
  ...['write', 'blocking-write-and-flush', 'write-zeroes', 'blocking-write-zeroes-and-flush'].map(
    (name) => `wasi:io/streams#[method]output-stream.${name}`,
  ),
];
const wasiClocks: readonly string[] = [
  'wasi:clocks/wall-clock#now',
  'wasi:clocks/monotonic-clock#now',
  'wasi:clocks/monotonic-clock#subscribe-duration',
  'wasi:io/poll#poll',
  'wasi:io/poll#[method]pollable.ready',
  'wasi:io/poll#[method]pollable.block',
];

/** What a component asks for of WASI's own interfaces. */
export type WasiGrants = { readonly fs: boolean; readonly time: boolean };

/** What runs a component of each kind; without a version. */
export const entryExports: { readonly [kind in 'component' | 'command']: string } = {
  component: 'handle',
  command: 'wasi:cli/run#run',
};

/** As the transpiler wants them: `interface@version#function`. */
export function suspendingImports(version: string, { fs, time }: WasiGrants): string[] {
  const own = Object.entries(hostFunctions).flatMap(([name, functions]) =>
    Object.keys(functions).map((member) => `${name}@${version}#${member}`),
  );
  return [...own, ...(fs ? wasiFiles : []), ...(time ? wasiClocks : [])];
}
