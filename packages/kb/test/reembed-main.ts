/** A process whose embedder takes its time; it says how many texts it was asked for, and never ends by itself. */
import { writeSync } from 'node:fs';
import { ok, systemClock, systemRandom, unwrap } from '@runloop/core';
import { openKb } from '../src/index.ts';
import { letters } from './kb-kit.ts';

let asked = 0;
const kb = unwrap(
  await openKb(
    { clock: systemClock, random: systemRandom, log: { log: () => undefined } },
    {
      rootDir: process.argv[2] ?? '',
      embedder: {
        id: 'letters',
        async embed(texts) {
          await new Promise((resolve) => setTimeout(resolve, 5));
          asked += texts.length;
          writeSync(1, `${asked}\n`);
          return ok(texts.map(letters));
        },
      },
    },
  ),
  'a knowledge base',
);
unwrap(await kb.reembed(true), 'a start');
