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
};

/** As the transpiler wants them: `interface@version#function`. */
export function suspendingImports(version: string): string[] {
  return Object.entries(hostFunctions).flatMap(([name, functions]) =>
    Object.keys(functions).map((member) => `${name}@${version}#${member}`),
  );
}
