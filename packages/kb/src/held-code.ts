/**
 * Holds the WASM that our threads use for as long as the process lives: a thread that compiles the same bytes shares its
 * machine code, instead of bringing its own and taking it away when it ends.
 *
 * Where each brought its own, V8 of Node 24 ended the process now and then ("Check failed: jit_page.has_value()"): the
 * list of code pages belongs to the process, and threads that come and go at once disagree over it (nodejs/node#64500).
 */
import { loadBlake3 } from './blake3.ts';
import { scanModule } from './search/scan.ts';

let held: Promise<unknown> | undefined;

export async function holdCode(): Promise<void> {
  scanModule();
  await (held ??= loadBlake3());
}
