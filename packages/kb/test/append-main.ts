/** A process that appends without end and says what was acknowledged: one line an answer, `<n of the caller> <id>`. */
import { writeSync } from 'node:fs';
import { digestText, systemClock, systemRandom, unwrap } from '@runloop/core';
import { openKb } from '../src/index.ts';

const log = { log: (): void => undefined };
const kb = unwrap(
  await openKb({ clock: systemClock, random: systemRandom, log }, { rootDir: process.argv[2] ?? '' }),
  'a knowledge base',
);
const round = process.argv[3] ?? '';
await Promise.all(
  Array.from({ length: 32 }, async (_, worker) => {
    for (let i = 0; ; i += 1) {
      const name = `${round}-${worker}-${i}`;
      const [event] = unwrap(
        await kb.append(
          [{ ts_ms: 1, actor: 'a', kind: 'note.created', scope: 's', payload: { text: name }, provenance: {} }],
          [{ digest: digestText(name), content: name }],
        ),
        'an append',
      );
      writeSync(1, `${name} ${event?.id ?? 0}\n`);
    }
  }),
);
