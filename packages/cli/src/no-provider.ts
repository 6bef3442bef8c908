/**
 * What to do where there is no model to ask: one screen, three ways.
 */
import { isJsonObject, showLine } from '@runloop/core';
import type { Screen } from './screen.ts';

export function showNoProvider(screen: Screen, why: string, configFile: string): void {
  screen.note(`rlp: ${showLine(why)}`);
  screen.note(
    [
      `Three ways to a model. Write one of them into ${showLine(configFile)}`,
      'below "version: 1", then run `rlp daemon stop` and ask again.',
      '',
      '1  Ollama, here:     ollama pull llama3.1:8b',
      '     models:',
      '       default: "local:llama3.1:8b"',
      '       broker: { providers: [ { id: local, kind: ollama,',
      '         base_url: "http://127.0.0.1:11434" } ] }',
      '2  llama.cpp, here:  llama-server -m model.gguf --jinja --port 8080',
      '     models:',
      '       default: "local:model"',
      '       broker: { providers: [ { id: local, kind: http,',
      '         base_url: "http://127.0.0.1:8080" } ] }',
      '3  a hosted one:     rlp secrets init --key-file, then with its key as input:',
      '       rlp secrets put runloop/models/openai --for https://api.openai.com',
      '     models:',
      '       default: "openai:gpt-4o-mini"',
      '       broker: { providers: [ { id: openai, kind: http, clearance: private,',
      '         base_url: "https://api.openai.com",',
      '         secret_id: runloop/models/openai } ] }',
      '   clearance: private lets it see your files; without, you are asked each time.',
      'More: docs/broker.md; what there is: rlp models',
    ].join('\n'),
  );
}

/** Which provider a failure names, and where the configuration says that it is. */
export function whereOf(why: string, providers: unknown): string {
  const id = /provider "([a-z0-9_-]+)"/.exec(why)?.[1];
  const found = (Array.isArray(providers) ? (providers as readonly unknown[]) : [])
    .filter(isJsonObject)

    .find((one) => one['id'] === id);
  return typeof found?.['base_url'] === 'string' ? ` (base_url: ${found['base_url']})` : '';
}
