/**
 * A keyring of a test's own: gnome-keyring on a session bus of its own, in a directory of its own, unlocked.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const [bus, daemon] = ['/usr/bin/dbus-daemon', '/usr/bin/gnome-keyring-daemon'];

export const hasKeyring: boolean = existsSync(bus) && existsSync(daemon);

export class TestKeyring implements AsyncDisposable {
  /** What programs need that look for it. */
  readonly env: NodeJS.ProcessEnv;
  readonly #path: string;
  readonly #children: readonly ChildProcess[];

  private constructor(path: string, env: NodeJS.ProcessEnv, children: readonly ChildProcess[]) {
    this.#path = path;
    this.env = env;
    this.#children = children;
  }

  static async open(): Promise<TestKeyring> {
    const path = mkdtempSync(join(tmpdir(), 'keyring-'));
    const [home, run] = [join(path, 'home'), join(path, 'run')];
    for (const dir of [home, run]) mkdirSync(dir, { mode: 0o700 });
    const own = { PATH: process.env['PATH'], HOME: home, XDG_RUNTIME_DIR: run, XDG_DATA_HOME: join(home, 'data') };
    const session = spawn(bus, ['--session', '--nofork', '--print-address=1'], {
      env: own,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [address] = (await once(createInterface({ input: session.stdout }), 'line')) as [string];
    const env = { XDG_RUNTIME_DIR: run, DBUS_SESSION_BUS_ADDRESS: address };
    const keyring = spawn(daemon, ['--foreground', '--unlock', '--components=secrets'], {
      env: { ...own, ...env },
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    keyring.stdin.end('password of the keyring');
    while (!isServed(env)) await new Promise((resolve) => setTimeout(resolve, 50));
    return new TestKeyring(path, env, [keyring, session]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      const gone = child.exitCode === null ? once(child, 'exit') : undefined;
      child.kill();
      await gone;
    }
    rmSync(this.#path, { recursive: true, force: true });
  }
}

function isServed(env: NodeJS.ProcessEnv): boolean {
  const question = ['org.freedesktop.DBus.NameHasOwner', 'string:org.freedesktop.secrets'];
  const args = ['--session', '--print-reply', '--dest=org.freedesktop.DBus', '/org/freedesktop/DBus', ...question];
  return execFileSync('/usr/bin/dbus-send', args, { env, encoding: 'utf8' }).includes('boolean true');
}
