/**
 * rlp kb import and export: knowledge from and to other programs.
 */
import { createWriteStream, rmSync } from 'node:fs';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { failure, isJsonObject, type JsonObject, showJson, showLine, systemClock } from '@runloop/core';
import type { Client } from '@runloop/sdk';
import { type Arguments, type Command, text, texts, type Tools } from '../command.ts';
import type { Delta } from '../import/delta.ts';
import { duration, counted } from '../screen.ts';

export const commands: readonly Command[] = [
  {
    usage: 'kb import <path>',
    about: 'take in contacts (vCard, CSV), notes (Markdown) or exported events; the same twice is written once',
    examples: [
      ['rlp kb import contacts.vcf', 'one contact a card'],
      ['rlp kb import people.csv', 'with a head: name, email, org, phone, notes, …'],
      ['rlp kb import ~/notes', 'every .md file below; entity and date may stand above'],
      ['rlp kb import export.ndjson', 'what rlp kb export wrote'],
    ],
    run: take,
  },
  {
    usage: 'kb export',
    about: 'what is known, as events, one JSON object a line',
    options: {
      kind: { type: 'array', about: 'only this kind, such as contact.upserted' },
      out: { type: 'string', about: 'write to this file, which must not be there' },
    },
    examples: [['rlp kb export --kind contact.upserted --out contacts.ndjson', '']],
    run: give,
  },
];

/** Deltas of one request, and their bytes: a frame holds twice as many. */
const chunk = 500;
const chunkBytes = 4 * 1024 * 1024;
const problemsShown = 10;

async function take(args: Arguments, tools: Tools): Promise<number> {
  const given = text(args, 'path') ?? '';
  if (given === '') return tools.fail(failure('Usage', 'rlp kb import needs a path', { hint: 'a file, or a folder' }));
  const path = resolve(tools.environment.cwd, given);
  const { readImport } = await import('../import/read.ts');
  const reading = await readImport(path);
  if (!reading.ok) return tools.fail(reading.error);
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const began = systemClock.monotonicMs();
  const told = { written: 0, existing: 0, refused: [] as { place: string; why: string }[] };
  let waiting: { place: string; delta: Delta }[] = [];
  let bytes = 0;
  const send = async (): Promise<number | undefined> => {
    const sent = waiting;
    waiting = [];
    bytes = 0;
    const failed = await hand(client.value, sent, told);
    if (failed !== undefined) return tools.fail(failed);
    const done = told.written + told.existing + told.refused.length;
    tools.screen.progress(
      `${done} read, ${Math.round((done / Math.max(1, systemClock.monotonicMs() - began)) * 1000)}/s`,
    );
    return undefined;
  };
  try {
    for (const read of reading.value) {
      if (tools.environment.interrupted.aborted) break;
      if ('problem' in read) {
        told.refused.push({ place: read.place, why: read.problem });
        continue;
      }
      const size = Buffer.byteLength(JSON.stringify(read.delta));
      if (size > chunkBytes) {
        told.refused.push({ place: read.place, why: `it has ${size} bytes, the limit is ${chunkBytes}` });
        continue;
      }
      const failed = waiting.length === chunk || bytes + size > chunkBytes ? await send() : undefined;
      if (failed !== undefined) return failed;
      waiting.push(read);
      bytes += size;
    }
    const failed = tools.environment.interrupted.aborted ? undefined : await send();
    if (failed !== undefined) return failed;
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error)) throw error;
    return tools.fail(failure('InvalidParams', `${path} cannot be read: ${error.message}`));
  } finally {
    tools.screen.progress('');
  }
  report(tools, told, systemClock.monotonicMs() - began);
  if (tools.environment.interrupted.aborted) {
    tools.screen.note('stopped; the same again goes on where it was');
    return 130;
  }
  return told.refused.length === 0 ? 0 : told.written + told.existing === 0 ? 65 : 1;
}

type Told = { written: number; existing: number; readonly refused: { place: string; why: string }[] };

async function hand(
  client: Client,
  sent: readonly { readonly place: string; readonly delta: Delta }[],
  told: Told,
): Promise<Parameters<Tools['fail']>[0] | undefined> {
  if (sent.length === 0) return undefined;
  const done = await client.call('kb.import', { deltas: sent.map(({ delta }) => delta) }, { timeoutMs: 120_000 });
  if (!done.ok) return done.error;
  const results = isJsonObject(done.value) && Array.isArray(done.value['results']) ? done.value['results'] : [];
  for (const [i, result] of (results as readonly JsonObject[]).entries()) {
    if (typeof result['refused'] === 'string')
      told.refused.push({ place: sent[i]?.place ?? '', why: result['refused'] });
    else if (result['existing'] === true) told.existing += 1;
    else told.written += 1;
  }
  return undefined;
}

function report({ screen, json }: Tools, told: Told, tookMs: number): void {
  if (json) return screen.json(told);
  screen.line(
    `${told.written} written, ${told.existing} known already, ${told.refused.length} refused; ${duration(tookMs)}`,
  );
  for (const { place, why } of told.refused.slice(0, problemsShown))
    screen.note(`  ${showLine(place)}: ${showLine(why)}`);
  if (told.refused.length > problemsShown) screen.note(`  and ${told.refused.length - problemsShown} more: --json`);
}

async function give(args: Arguments, tools: Tools): Promise<number> {
  const client = await tools.connect();
  if (!client.ok) return tools.fail(client.error);
  const path = text(args, 'out');
  const out =
    path === undefined
      ? undefined
      : createWriteStream(resolve(tools.environment.cwd, path), { flags: 'wx', mode: 0o600 });
  let opened = false;
  let whole = false;
  try {
    if (out !== undefined) await once(out, 'open');
    opened = true;
    let count = 0;
    for (let after = 0, goesOn = true; goesOn;) {
      const page = await client.value.call('kb.export', { after_id: after, max: 1_000, kinds: texts(args, 'kind') });
      if (!page.ok) return tools.fail(page.error);
      const { events, next } = page.value as unknown as { events: readonly JsonObject[]; next: number | null };
      for (const event of events) {
        // Escapes of JSON alone: the same value, and nothing that a terminal would obey.
        const line = showJson(JSON.stringify(event));
        if (out === undefined) tools.screen.line(line);
        else if (!out.write(`${line}\n`)) await once(out, 'drain');
      }
      count += events.length;
      tools.screen.progress(counted(count, 'event'));
      goesOn = next !== null;
      after = next ?? after;
    }
    tools.screen.progress('');
    if (count === 0) tools.screen.noteWrapped(nothingOf(texts(args, 'kind')), 0);
    if (out !== undefined) {
      out.end();
      await once(out, 'finish');
      whole = true;
      tools.screen.note(`${counted(count, 'event')} in ${showLine(path ?? '')}`);
    }
    return 0;
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error)) throw error;
    return tools.fail(failure('InvalidParams', `${path} cannot be written: ${error.message}`));
  } finally {
    out?.destroy();
    if (out !== undefined && opened && !whole) rmSync(out.path, { force: true });
  }
}

function nothingOf(kinds: readonly string[]): string {
  if (kinds.length === 0) return 'nothing is known yet';
  const named = kinds.map(showLine).join(', ');
  return `nothing of this kind: ${named}; a kind is that of an event, such as contact.upserted`;
}
