/**
 * A process that does what the search thread does, on the knowledge base of the folder given, and tells what memory that
 * takes, in megabytes: in a process with others one cannot tell whose memory is whose.
 */
import { join } from 'node:path';
import { unwrap } from '../packages/core/src/index.ts';
import { hashNgramId } from '../packages/kb/src/index.ts';
import { createSearchDesk } from '../packages/kb/src/search/search-desk.ts';

const rootDir = process.argv[2] ?? '';
const before = process.memoryUsage().rss;
using desk = createSearchDesk({
  viewDb: join(rootDir, 'pog.sqlite'),
  vectorDb: join(rootDir, 'vectors.sqlite'),
  embedder: hashNgramId,
});
const q = { text: 'budget', max: 10, raw: true };
for (let i = 0; i < 20; i += 1) unwrap(desk.answer({ type: 'search', q }), 'a search');
process.stdout.write(`${(process.memoryUsage().rss - before) / 1e6}\n`);
