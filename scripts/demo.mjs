/**
 * The demo: five sandboxed agents compose an e-mail through a daemon, offline, in a state directory that is thrown away.
 *
 * Everything is done as a user would: through bin/rlp, over the real socket. It ends with 0 only if each step held.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const rlpPath = join(root, 'bin', 'rlp');
const home = mkdtempSync(join(tmpdir(), 'runloop-demo-'));
const env = { ...process.env, RUNLOOP_HOME: home, NO_COLOR: '1' };
const say = (text = '') => process.stdout.write(`${text}\n`);
const title = (text) => say(`\n── ${text} ${'─'.repeat(Math.max(0, 74 - text.length))}`);

/** Runs rlp to its end; a failure ends the demo. */
function rlp(args, { show = true } = {}) {
  const done = spawnSync(rlpPath, args, { env, encoding: 'utf8', cwd: root });
  if (show) process.stdout.write(done.stdout);
  if (done.status !== 0) {
    process.stderr.write(done.stderr);
    throw new Error(`rlp ${args.join(' ')} ended with ${done.status}`);
  }
  return done.stdout;
}

/** Runs the opening, answers its question from a second rlp, and gives its events and how long it took. */
async function compose() {
  const began = performance.now();
  const child = spawn(
    rlpPath,
    ['run', 'examples/openings/compose_email.yaml', '--params', '{"recipient":"john","topic":"Q4 plan"}', '--ndjson'],
    {
      env,
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let complaints = '';
  child.stderr.on('data', (chunk) => (complaints += chunk));
  const ended = new Promise((resolve) => child.once('close', resolve));
  const events = [];
  let approval = '';
  for await (const line of createInterface({ input: child.stdout })) {
    const event = JSON.parse(line);
    events.push(event);
    say(`${String(event.seq).padStart(3)}  ${event.kind.padEnd(17)} ${event.message}`);
    if (event.kind === 'action.requested') {
      approval = spawnSync(rlpPath, ['approve', 'show', event.meta.action], { env, encoding: 'utf8' }).stderr;
      rlp(['approve', 'yes', event.meta.action, '--hash', event.meta.hash], { show: false });
    }
  }
  const code = await ended;
  if (code !== 0) throw new Error(`the run ended with ${code}: ${complaints}`);
  events.forEach((event, index) => {
    if (event.seq !== index + 1) throw new Error(`event ${index + 1} has the sequence number ${event.seq}`);
  });
  return { events, approval, ms: performance.now() - began };
}

async function main() {
  title('1. build the agents: TypeScript to signed WASI components');
  rlp(['agent', 'build', '--all']);

  title('2. somebody tells the knowledge base who John is');
  const john = {
    contact: 'contact:john',
    name: 'John Miller',
    email: 'john@acme.example',
    org: 'Acme',
    confidence: 1,
    trust: 'trusted',
  };
  rlp(['kb', 'propose', '--kind', 'contact.upserted', '--payload', JSON.stringify(john)]);
  const note = {
    entity: 'contact:john',
    text: 'Q4 plan: John wants the budget figures and the launch date by Friday.',
  };
  rlp(['kb', 'propose', '--kind', 'note.created', '--payload', JSON.stringify(note)]);

  title('3. the run, event by event');
  const { events, approval, ms } = await compose();
  const trace = events[0].trace_id;

  title('4. what it asked before anything could leave');
  process.stdout.write(approval);

  title('5. the draft');
  const artifact = events.find((event) => event.kind === 'artifact.created');
  rlp(['artifacts', 'cat', artifact.meta.digest]);

  title('6. why: from the draft back to whoever said so');
  rlp(['kb', 'why', `artifact:${artifact.meta.digest}`]);
  rlp(['kb', 'why', 'contact:john']);

  title('7. the same run once more, from its tape, without the daemon');
  rlp(['daemon', 'stop'], { show: false });
  rlp(['replay', trace]);
  say(`\nthe run took ${(ms / 1000).toFixed(2)} s, the approval included`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`\ndemo: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
} finally {
  spawnSync(rlpPath, ['daemon', 'stop'], { env });
  rmSync(home, { recursive: true, force: true });
}
