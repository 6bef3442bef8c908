/**
 * rlp kb: backups, and what needs the state directory for itself.
 */
import { isAbsolute, resolve } from 'node:path';
import { type Failure, ok, type Result, showLine, systemClock, systemRandom } from '@runloop/core';
import type { migrateHome } from '@runloop/daemon';
import { type Arguments, type Command, text, type Tools } from '../command.ts';
import { processId } from '../environment.ts';
import { longCall } from '../long-call.ts';
import { bytes, time, counted } from '../screen.ts';

export const commands: readonly Command[] = [
  {
    usage: 'kb backup [folder]',
    about: 'copy the ledger and its blobs as they stand now, while they are in use',
    examples: [
      ['rlp kb backup', 'into backups/ of the state directory'],
      ['rlp kb backup /media/usb/runloop', 'into a folder that is empty or not there'],
    ],
    run: backup,
  },
  {
    usage: 'kb restore <folder>',
    about: 'put a backup in the place of what is there, which is kept beside it; the daemon must be stopped',
    examples: [['rlp daemon stop && rlp kb restore /media/usb/runloop', 'checks the backup first']],
    run: restore,
  },
  {
    usage: 'kb migrate',
    about: 'bring an older ledger up to date and make the views anew; the daemon must be stopped',
    examples: [['rlp daemon stop && rlp kb migrate', 'the daemon does the same when it starts']],
    run: migrate,
  },
];

async function backup(args: Arguments, tools: Tools): Promise<number> {
  const folder = text(args, 'folder');
  const into = folder === undefined || isAbsolute(folder) ? folder : resolve(tools.environment.cwd, folder);
  const done = await longCall(tools, 'kb.backup', into === undefined ? {} : { into });
  if (!done.ok) return tools.fail(done.error);
  const made = done.value as { path: string; events: number; blobs: number; bytes: number };
  if (tools.json) tools.screen.json(done.value);
  else {
    tools.screen.line(showLine(made.path));
    tools.screen.note(
      `${counted(made.events, 'event')}, ${counted(made.blobs, 'blob')} as files, ${bytes(made.bytes)}; keys, agents and secrets are no part of it`,
    );
  }
  return 0;
}

async function restore(args: Arguments, tools: Tools): Promise<number> {
  const from = resolve(tools.environment.cwd, text(args, 'folder') ?? '');
  const given = await alone(tools);
  if (!given.ok) return tools.fail(given.error);
  const { restoreHome } = await import('@runloop/daemon');
  const done = await restoreHome(...given.value, from);
  if (!done.ok) return tools.fail(done.error);
  const { events, made_ms: made, before } = done.value;
  if (tools.json) tools.screen.json(done.value);
  else {
    tools.screen.line(`restored: ${counted(events, 'event')}, as of ${time(made)}`);
    tools.screen.note(`what was there before is kept in ${showLine(before)}`);
    tools.screen.note('runs that had not finished then are ended when the daemon starts, and not repeated');
  }
  return 0;
}

async function migrate(_args: Arguments, tools: Tools): Promise<number> {
  const given = await alone(tools);
  if (!given.ok) return tools.fail(given.error);
  const daemon = await import('@runloop/daemon');
  const done = await daemon.migrateHome(...given.value);
  if (!done.ok) return tools.fail(done.error);
  if (tools.json) tools.screen.json(done.value);
  else tools.screen.line(`the ledger is up to date: ${counted(done.value.events, 'event')}, views made anew`);
  return 0;
}

async function alone(tools: Tools): Promise<Result<Parameters<typeof migrateHome>, Failure>> {
  const config = await tools.config();
  if (!config.ok) return config;
  return ok([
    { clock: systemClock, random: systemRandom, log: { log: () => undefined } },
    { root: tools.environment.root, config: config.value.config, pid: processId },
  ]);
}
