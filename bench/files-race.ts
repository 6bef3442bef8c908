/** `npm run race -- --tries 1000000`: files opened while another process swaps them; any escape is exit code 1. */
import { parseArgs } from 'node:util';
import { race } from '../packages/runtime/test/race.ts';

const { values } = parseArgs({ options: { tries: { type: 'string', default: '1000000' } } });
const began = performance.now();
const { tries, escapes, outcomes } = await race(Number(values.tries));
const seconds = (performance.now() - began) / 1000;
for (const [what, count] of Object.entries(outcomes).sort()) process.stdout.write(`${what.padEnd(34)} ${count}\n`);
process.stdout.write(`${tries} tries in ${seconds.toFixed(0)} s, ${escapes.length} escapes\n`);
for (const escape of escapes.slice(0, 20)) process.stdout.write(`${escape}\n`);
process.exitCode = escapes.length === 0 ? 0 : 1;
