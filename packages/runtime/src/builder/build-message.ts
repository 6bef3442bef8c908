/**
 * What the build tools say, as lines for an author: `src/agent.ts:2:42: Expected ...`.
 *
 * 1. No terminal codes, no drawings, no path outside the agent's folder.
 * 2. What is not understood is kept as it is, without its codes.
 */
import { relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

const sdkName = '@runloop/agent';
const headline = /^\[([A-Z_]+)\] (.*)$/;
const place = /^\s*╭─\[ (.+) \]$/;

export function buildMessage(text: string, agentDir: string, sdkDir: string): string {
  const sdk = relative(agentDir, sdkDir);
  const plain = stripVTControlCharacters(text).replaceAll(`${sdk}/src/index.ts`, sdkName);
  const lines = withoutPath(plain.replaceAll(`${sdk}/dist/index.js`, sdkName), agentDir).split('\n');
  const found: string[] = [];
  lines.forEach((line, at) => {
    const [, , what] = headline.exec(line) ?? [];
    if (what === undefined) return;
    const [, where] = place.exec(lines[at + 1] ?? '') ?? [];
    // The entry is ours: a place in it tells an author nothing.
    found.push(where === undefined || where.includes('runloop-entry') ? what : `${where}: ${what}`);
  });
  if (found.length > 0) return found.join('\n');
  const kept = lines.filter((line) => line.trim() !== '');
  return kept.join('\n').replace(/^: /, '');
}

/** The tools write paths relative to the folder that they are told, or to the root where it is not below that. */
function withoutPath(text: string, agentDir: string): string {
  return text.replaceAll(`${agentDir}/`, '').replaceAll(`${agentDir.slice(1)}/`, '');
}
