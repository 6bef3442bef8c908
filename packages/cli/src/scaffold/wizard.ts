/**
 * Asks on the terminal what a new agent shall be. Nothing is written here: Ctrl-C leaves nothing behind.
 */
import { createInterface } from 'node:readline/promises';
import { isName } from '@runloop/core';
import type { Tools } from '../command.ts';
import { fsGrant, languages, listed, type Wish } from './wish.ts';

/** The wish with what was answered; undefined where it was broken off. What flags said is not asked again. */
export async function askWish(
  tools: Tools,
  given: Wish,
  isGiven: (flag: string) => boolean,
): Promise<Wish | undefined> {
  const { environment, screen } = tools;
  const { streams, cwd, interrupted } = environment;
  const lines = createInterface({ input: streams.in, output: streams.err });
  const stop = new AbortController();
  lines.on('SIGINT', () => stop.abort());
  lines.on('close', () => stop.abort());
  const signal = AbortSignal.any([stop.signal, interrupted]);
  const ask = async (question: string, otherwise: string, good: (answer: string) => boolean): Promise<string> => {
    for (;;) {
      const answer = (
        await lines.question(`${question}${otherwise === '' ? '' : ` [${otherwise}]`}: `, { signal })
      ).trim();
      const taken = answer === '' ? otherwise : answer;
      if (good(taken)) return taken;
      screen.note('  that will not do');
    }
  };
  const yes = async (question: string): Promise<boolean> =>
    /^y/i.test(await ask(`${question} (y/n)`, 'n', (answer) => /^(?:y|yes|n|no)$/i.test(answer)));
  const list = async (flag: string, question: string, kept: readonly string[]): Promise<readonly string[]> =>
    isGiven(flag) ? kept : listed([await ask(question, '', () => true)]);
  try {
    const name = given.name !== '' ? given.name : await ask('name, such as note_taker', '', isName);
    const isLanguage = (answer: string): boolean => languages.some((one) => one === answer);
    const spoken = isGiven('lang') ? given.language : await ask('language: ts, c or rust', 'ts', isLanguage);
    const language = languages.find((one) => one === spoken) ?? 'ts';
    const fs = isGiven('cap-fs')
      ? given.fs
      : (await list('cap-fs', 'folders that it may read, with :rw also write', [])).map((one) => fsGrant(one, cwd));
    const hosted = language === 'ts';
    const net = hosted ? await list('cap-net', 'hosts that it may reach', given.net) : [];
    const kbRead = hosted ? await list('cap-kb-read', 'domains of the knowledge base to read', given.kbRead) : [];
    const kbWrite = hosted ? await list('cap-kb-write', 'domains of the knowledge base to write', given.kbWrite) : [];
    const model = given.model || (hosted && (await yes('does it call a model')));
    const opening = given.opening || (await yes('an opening that runs it'));
    return { name, language, fs, net, kbRead, kbWrite, model, opening };
  } catch {
    streams.err.write('\n');
    return undefined;
  } finally {
    lines.close();
  }
}
