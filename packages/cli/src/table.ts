/**
 * Every command: its words, one line about it, and the file that holds it. Loading this loads none of them.
 */
import type { CommandFile } from './command.ts';

export type Entry = {
  readonly group: string;
  readonly words: string;
  readonly about: string;
  readonly load: () => Promise<CommandFile>;
};

const of = (group: string, load: Entry['load'], rows: readonly (readonly [string, string])[]): Entry[] =>
  rows.map(([words, about]) => ({ group, words, about, load }));

export const table: readonly Entry[] = [
  ...of('run', () => import('./commands/run.ts'), [
    ['run', 'run an opening'],
    ['attach', 'follow a run from its beginning'],
  ]),
  ...of('run', () => import('./commands/ask.ts'), [['ask', 'ask the assistant about this folder']]),
  ...of('run', () => import('./commands/plan.ts'), [
    ['plan', 'check an opening and show what it would do'],
    ['lint', 'check openings'],
  ]),
  ...of('run', () => import('./commands/graph.ts'), [
    ['graph', 'draw an opening'],
    ['opening graph', 'draw an opening'],
  ]),
  ...of('run', () => import('./commands/opening-list.ts'), [['opening list', 'openings that can be run by name']]),
  ...of('run', () => import('./commands/opening-new.ts'), [
    ['opening new', 'write a small opening to begin with'],
    ['opening schema', 'print the JSON Schema of the language'],
  ]),
  ...of('run', () => import('./commands/opening-fmt.ts'), [
    ['opening fmt', 'write an opening tidily, as YAML or in braces'],
  ]),
  ...of('run', () => import('./commands/opening-trust.ts'), [['opening trust', 'agree to what an opening loosens']]),
  ...of('look', () => import('./commands/runs.ts'), [
    ['runs', 'list runs'],
    ['show', 'one run and its nodes'],
    ['pause', 'let a run start nothing more'],
    ['resume', 'let a paused run go on'],
    ['step', 'let a paused run start one node'],
    ['cancel', 'end a run'],
  ]),
  ...of('look', () => import('./commands/bill.ts'), [['bill', 'what was spent']]),
  ...of('look', () => import('./commands/models.ts'), [
    ['models', 'which models can be called, for how much'],
    ['models test', 'try a model at each of its providers'],
    ['models thaw', 'let a frozen budget go on'],
  ]),
  ...of('decide', () => import('./commands/approve.ts'), [
    ['approve', 'what waits for your yes'],
    ['approve list', 'what waits for your yes'],
    ['approve show', 'one request, whole'],
    ['approve yes', 'let it happen'],
    ['approve no', 'refuse it'],
    ['approve done', 'a call that was cut off has happened'],
    ['approve edit', 'other arguments: it is asked anew'],
  ]),
  ...of('run', () => import('./commands/fork.ts'), [['fork', 'run a part of a run again, with something changed']]),
  ...of('look', () => import('./commands/trace.ts'), [['trace', 'who handed what to whom, as a ladder, tree or page']]),
  ...of('look', () => import('./commands/diff.ts'), [['diff', 'where two runs part']]),
  ...of('look', () => import('./commands/replay.ts'), [
    ['replay', 'run a finished run again over its tape and compare'],
  ]),
  ...of('look', () => import('./commands/torture.ts'), [
    ['torture', 'crash an opening at every place and see whether it holds'],
  ]),
  ...of('remember', () => import('./commands/kb-search.ts'), [
    ['kb search', 'find by words and by nearness'],
    ['kb reembed', 'make the vectors that are missing'],
  ]),
  ...of('remember', () => import('./commands/kb.ts'), [
    ['kb query', 'one read-only SQL statement over the views'],
    ['kb why', 'the events that made something'],
    ['kb blame', 'the event that set a value'],
    ['kb propose', 'write an event'],
    ['kb contradictions', 'what two sources disagree on'],
  ]),
  ...of('remember', () => import('./commands/kb-keep.ts'), [
    ['kb verify', 'check the chain of the ledger'],
    ['kb seal', 'sign what the ledger is now, to keep elsewhere'],
    ['kb rebuild', 'drop the views and replay the ledger'],
    ['kb stats', 'how much there is'],
    ['kb vacuum', 'give back room on the disk'],
    ['kb archive', 'pack away what old runs read and wrote'],
    ['kb forget', 'erase what is known of somebody'],
  ]),
  ...of('remember', () => import('./commands/kb-import.ts'), [
    ['kb import', 'take in contacts, notes or events'],
    ['kb export', 'what is known, one JSON object a line'],
  ]),
  ...of('remember', () => import('./commands/kb-backup.ts'), [
    ['kb backup', 'copy the ledger while it is in use'],
    ['kb restore', 'put a backup in its place'],
    ['kb migrate', 'bring an older ledger up to date'],
  ]),
  ...of('agents', () => import('./commands/agent.ts'), [
    ['agent list', 'agents that can be used'],
    ['agent show', 'one agent: ports, capabilities, digest'],
    ['agent build', 'build an agent from its source'],
  ]),
  ...of('agents', () => import('./commands/agent-author.ts'), [['agent scaffold', 'make a new agent']]),
  ...of('agents', () => import('./commands/agent-try.ts'), [
    ['agent test', 'build an agent and run its tests'],
    ['agent dev', 'build and run an agent whenever it is saved'],
  ]),
  ...of('agents', () => import('./commands/agent-life.ts'), [
    ['agent keygen', 'make a signing key'],
    ['agent sign', 'sign a bundle with a key of yours'],
    ['agent pack', 'put a bundle into one file'],
    ['agent install', 'install a bundle'],
    ['agent remove', 'remove an installed agent'],
    ['agent release', 'let an agent run again that is held back'],
    ['agent rollback', 'go back to the version before'],
  ]),
  ...of('agents', () => import('./commands/agent-verify.ts'), [
    ['agent verify', 'try what an agent may do, and what lies beyond'],
  ]),
  ...of('agents', () => import('./commands/trust.ts'), [
    ['trust list', 'who may sign agents, and what is revoked'],
    ['trust show', 'one signer and what it may be granted'],
    ['trust add', 'let a signer in'],
    ['trust remove', 'let a signer out'],
    ['trust revoke', 'stop a signer or a bundle, also what runs'],
  ]),
  ...of('agents', () => import('./commands/trust-declassifier.ts'), [
    ['trust declassifier', 'pin an agent whose answers are no secret'],
  ]),
  ...of('agents', () => import('./commands/caps.ts'), [
    ['caps show', 'what an agent may do, and who took what'],
    ['caps lint', 'what is wrong or too broad in a policy.caps'],
  ]),
  ...of('look', () => import('./commands/artifacts.ts'), [
    ['artifacts', 'what runs have made'],
    ['artifacts list', 'what runs have made'],
    ['artifacts cat', 'print one'],
    ['artifacts save', 'write one to a file'],
  ]),
  ...of('look', () => import('./commands/logs.ts'), [['logs', 'what agents said']]),
  ...of('operate', () => import('./commands/daemon.ts'), [
    ['daemon start', 'start the daemon'],
    ['daemon stop', 'stop it; runs go on at the next start'],
    ['daemon status', 'is it running, and how is it'],
    ['daemon logs', 'the end of its log'],
  ]),
  ...of('operate', () => import('./commands/bus.ts'), [
    ['bus sub', 'print what is published on a topic'],
    ['bus pub', 'publish one message'],
    ['bus ping', 'time a round trip'],
    ['drops', 'messages that were dropped, by reason'],
    ['models', 'models that can be called'],
  ]),
  ...of('operate', () => import('./commands/secrets.ts'), [
    ['secrets init', 'make the vault'],
    ['secrets unlock', 'open the vault until the daemon stops'],
    ['secrets put', 'keep a value, for one use'],
    ['secrets list', 'ids and what they are for; no values'],
    ['secrets delete', 'forget a value'],
    ['secrets rotate', 'another value for the same use'],
  ]),
  ...of('operate', () => import('./commands/token.ts'), [
    ['token issue', 'make a narrower token for a client'],
    ['token list', 'tokens that are good'],
    ['token revoke', 'end a token at once'],
    ['token rotate', 'replace the operator token'],
  ]),
  ...of('prompt', () => import('./commands/route.ts'), [
    ['route', 'say whether a line is for the shell or the agents'],
    ['why', 'explain how a line is routed'],
  ]),
  ...of('operate', () => import('./commands/config.ts'), [
    ['config path', 'where the configuration lies'],
    ['config show', 'every key and where it comes from'],
    ['config validate', 'check the configuration'],
  ]),
  ...of('operate', () => import('./commands/doctor.ts'), [
    ['doctor', 'check what this machine gives and enforces'],
    ['version', 'print the version'],
  ]),
];

/** The entry whose words begin the arguments, the longest first. */
export function findEntry(argv: readonly string[]): Entry | undefined {
  for (const length of [2, 1]) {
    const words = argv.slice(0, length).join(' ');
    const entry = argv.length >= length ? table.find((candidate) => candidate.words === words) : undefined;
    if (entry !== undefined) return entry;
  }
  return undefined;
}
