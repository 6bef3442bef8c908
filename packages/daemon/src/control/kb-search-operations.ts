/**
 * kb.search and kb.reembed: finding by words and by nearness, and the vectors that this rests on.
 */
import type { Kb, SearchMode, SearchQuery } from '@runloop/kb';
import { searchModes } from '@runloop/kb';
import { type Args, type Operations, seesAddresses } from './operation.ts';

export function kbSearchOperations(kb: Pick<Kb, 'search' | 'reembed'>): Operations {
  return {
    'kb.search': (args, caller) => {
      const q = queryOf(args, seesAddresses(caller));
      return args.check(() => kb.search(q));
    },
    'kb.reembed': (args) => {
      const start = args.boolean('start');
      return args.check(() => kb.reembed(start));
    },
  };
}

function queryOf(args: Args, raw: boolean): SearchQuery {
  const kinds = args.list('kinds').filter((kind): kind is string => typeof kind === 'string');
  return {
    text: args.text('text'),
    max: args.number('max', 10, 200),
    raw,
    ...(kinds.length === 0 ? {} : { kinds }),
    mode: modeOf(args),
    by: args.optionalText('by'),
    asOfMs: args.optionalNumber('as_of_ms'),
    sinceMs: args.optionalNumber('since_ms'),
    untilMs: args.optionalNumber('until_ms'),
    confirmedOnly: args.boolean('confirmed_only'),
  };
}

function modeOf(args: Args): SearchMode {
  const name = args.optionalText('mode') ?? 'hybrid';
  const mode = searchModes.find((one) => one === name);
  if (mode === undefined) args.refuse(`mode must be one of ${searchModes.join(', ')}`);
  return mode ?? 'hybrid';
}
