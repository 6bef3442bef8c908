/**
 * Where installed agents lie: `<name>` is a link to one of `.versions/<name>/<version>-<digest>/`, and a record beside
 * the versions says whose the name is and below which version it may not fall.
 *
 * 1. Both the link and the record are replaced by a rename: whoever reads sees the old one or the new one, and after a
 *    loss of power too: both are on the disk when these functions return.
 */
import { mkdir, readdir, readFile, readlink, rename, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isJsonObject, parseJson, type Random, toHex } from '@runloop/core';
import { compareVersions } from '@runloop/runtime';
import { sync } from './durable.ts';

export type InstallRecord = {
  /** Key of the signer that brought the name. */
  readonly owner: string;
  /** Nothing older is started; only a rollback lowers it. */
  readonly floor: string;
};

export const versionsFolder = '.versions';

export function versionsOf(agentsDir: string, name: string): string {
  return join(agentsDir, versionsFolder, name);
}

export function versionName(version: string, digest: string): string {
  return `${version}-${digest.slice(0, 12)}`;
}

/** The version that a folder's name says. */
export function versionIn(folder: string): string {
  return folder.slice(0, folder.lastIndexOf('-'));
}

/** Folders of the versions that are kept, the newest first. */
export async function keptVersions(agentsDir: string, name: string): Promise<readonly string[]> {
  const found = await readdir(versionsOf(agentsDir, name)).catch(() => []);
  return found
    .filter((entry) => /^\d.*-[0-9a-f]{12}$/.test(entry))
    .sort((a, b) => compareVersions(versionIn(b), versionIn(a)) || (a < b ? -1 : 1));
}

/** The folder of the version that is in force; undefined where the name is not linked. */
export async function currentVersion(agentsDir: string, name: string): Promise<string | undefined> {
  const target = await readlink(join(agentsDir, name)).catch(() => undefined);
  return target?.startsWith(`${versionsFolder}/${name}/`) === true ? basename(target) : undefined;
}

export async function readRecord(agentsDir: string, name: string): Promise<InstallRecord | undefined> {
  const text = await readFile(join(versionsOf(agentsDir, name), 'record.json'), 'utf8').catch(() => undefined);
  const parsed = text === undefined ? undefined : parseJson(text);
  if (parsed?.ok !== true || !isJsonObject(parsed.value)) return undefined;
  const { owner, floor } = parsed.value;
  return typeof owner === 'string' && typeof floor === 'string' ? { owner, floor } : undefined;
}

export async function writeRecord(
  agentsDir: string,
  name: string,
  record: InstallRecord,
  random: Random,
): Promise<void> {
  const path = join(versionsOf(agentsDir, name), 'record.json');
  await mkdir(versionsOf(agentsDir, name), { recursive: true, mode: 0o700 });
  const fresh = `${path}.${toHex(random.bytes(4))}`;
  await writeFile(fresh, JSON.stringify(record), { mode: 0o600, flush: true });
  await rename(fresh, path);
  await sync(dirname(path));
}

export async function linkVersion(agentsDir: string, name: string, folder: string, random: Random): Promise<void> {
  const fresh = join(agentsDir, `.${name}.${toHex(random.bytes(4))}`);
  await symlink(join(versionsFolder, name, folder), fresh);
  await rename(fresh, join(agentsDir, name));
  await sync(agentsDir);
}
