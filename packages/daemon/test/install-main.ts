/** Installs what its arguments say and is killed before the step that they name. */
import { placeAt } from './install-fixture.ts';

const [root = '', source = '', last = ''] = process.argv.slice(2);
const { installer } = await placeAt(root, (step) => {
  if (step === last) process.kill(process.pid, 'SIGKILL');
});
const done = await (source === '-' ? installer.remove('small') : installer.install(source));
process.stdout.write(JSON.stringify(done));
