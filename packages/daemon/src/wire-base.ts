/**
 * What everything else of a daemon stands on, opened in order: logs, the ledger with its lock, keys, tokens, secrets, the broker.
 */
import { sign } from 'node:crypto';
import { join } from 'node:path';
import { type Clock, type Config, type Failure, ok, type Random, type Result, hashInWasm } from '@runloop/core';
import { type Kb, openKb, type Signer } from '@runloop/kb';
import { type HostKey, hostKey, type McpServer } from '@runloop/runtime';
import { mcpServersOf } from './host/tool-calls.ts';
import { kbEmbedder } from './host/kb-embedder.ts';
import { createModels, type Models } from './host/models.ts';
import { type MailTransport, mailTransport } from './host/mail-transport.ts';
import { type Home, homeAt } from './home/home.ts';
import { LogFile } from './home/log-file.ts';
import { sealing } from './home/sealing.ts';
import { openSecrets } from './secrets/open.ts';
import { Scrubber } from './secrets/scrubber.ts';
import type { Secrets } from './secrets/store.ts';
import { type PeerPort } from './sessions/index.ts';
import { openTokens, type Tokens } from './tokens/index.ts';

export type DaemonOptions = {
  readonly root: string;
  readonly config: Config;
  readonly origin: ReadonlyMap<string, string>;
  readonly version: string;
  /** The checkout that this code runs from, if it does. */
  readonly checkout: string | undefined;
  readonly mode: 'user' | 'system';
  readonly uid: number;
  readonly pid: number;
  readonly spares: number;
};

export type DaemonDeps = {
  readonly clock: Clock;
  readonly random: Random;
  readonly peer: PeerPort;
  readonly env: { readonly [name: string]: string | undefined };
  readonly rssBytes: () => number;
  readonly loopDelayMs: () => number;
  /** Something is asked again, or for the first time. */
  readonly woke?: () => void;
  /** Nothing has been asked for a while: a good moment to give memory back. */
  readonly rested?: () => void;
  /** Somebody asked the daemon to stop. */
  readonly stopRequested: () => void;
};

export type Base = {
  readonly home: Home;
  readonly log: LogFile;
  readonly agentLog: LogFile;
  readonly kb: Kb;
  readonly hostKey: HostKey;
  /** Signs heads of the ledger. */
  readonly signer: Signer;
  readonly tokens: Tokens;
  readonly models: Models;
  readonly secrets: Secrets;
  readonly scrubber: Scrubber;
  readonly mail: MailTransport | undefined;
  readonly mcpServers: ReadonlyMap<string, McpServer>;
};

/** What everything else stands on: logs, the ledger with its lock, keys, tokens, the broker. */
export async function openBase(
  deps: DaemonDeps,
  options: DaemonOptions,
  opening: AsyncDisposableStack,
): Promise<Result<Base, Failure>> {
  const { clock, random } = deps;
  const { config, root } = options;
  const home = homeAt(root, config);
  const scrubber = new Scrubber();
  const log = opening.use(new LogFile(home.logFile, clock, config.logging.level, scrubber));
  const agentLog = opening.use(new LogFile(join(root, 'logs', 'agents.log'), clock, 'trace', scrubber));
  const { events_db: events, view_db: views } = config.kb;
  await hashInWasm();
  const embedder = kbEmbedder({ clock, opened: () => embedding }, config.kb.embedder);
  const kb = await openKb(
    { clock, random, log },
    {
      rootDir: home.kb,
      eventsDb: join(home.kb, events),
      viewDb: join(home.kb, views),
      embedder,
      onWake: deps.woke,
      onRest: deps.rested,
    },
  );
  if (!kb.ok) return kb;
  opening.use(kb.value);
  const key = await hostKey(home.keys);
  if (!key.ok) return key;
  const signer: Signer = { key: key.value.id, sign: (bytes) => sign(null, bytes, key.value.privateKey) };
  opening.use(sealing({ clock, log }, () => kb.value.seal(signer)));
  const tokens = openTokens({ stateDir: root, clock, random });
  if (!tokens.ok) return tokens;
  const mcpServers = mcpServersOf(config.tools.mcp.servers);
  if (!mcpServers.ok) return mcpServers;
  const secrets = openSecrets({ clock, random, log, scrubber, env: deps.env }, config, root);
  const mail = mailTransport({ secrets }, config.mail);
  if (!mail.ok) return mail;
  const models = createModels({ clock, random, log, secrets, cacheFile: join(root, 'broker.sqlite') }, config);
  if (!models.ok) return models;
  opening.defer(() => models.value.close());
  const embedding = { models: models.value, kb: kb.value };
  return ok({
    home,
    log,
    agentLog,
    kb: kb.value,
    hostKey: key.value,
    signer,
    tokens: tokens.value,
    models: models.value,
    secrets,
    scrubber,
    mail: mail.value,
    mcpServers: mcpServers.value,
  });
}
