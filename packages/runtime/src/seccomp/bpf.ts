/**
 * A small assembler of classic BPF, as seccomp runs it over one system call.
 *
 * 1. Every program begins with the architecture: a call of another one, and on x86_64 an x32 call, kills the process,
 *    because its numbers mean other things.
 * 2. A rule is tested in the order written; what no rule names is allowed.
 * 3. An argument is compared by its low 32 bits, which hold all that the kernel reads of the flags and numbers tested here.
 */

export type Verdict = 'EPERM' | 'ENOSYS' | 'EAFNOSUPPORT';

export type Rule = {
  readonly nr: number;
  readonly verdict: Verdict;
  /** Without it every such call is meant. */
  readonly when?:
    | { readonly argument: number; readonly isOneOf: readonly number[] }
    | { readonly argument: number; readonly isNoneOf: readonly number[] }
    | { readonly argument: number; readonly hasAnyBit: number }
    | { readonly argument: number; readonly lacksBit: number };
};

export type Target = { readonly audit: number; readonly x32: boolean };

type Instruction = readonly [code: number, jt: number, jf: number, k: number];

const loadWord = 0x20;
const jumpEqual = 0x15;
const jumpAtLeast = 0x35;
const jumpAnyBit = 0x45;
const giveBack = 0x06;

const killProcess = 0x8000_0000;
const allow = 0x7fff_0000;
const errno = 0x0005_0000;
const errnos: { readonly [verdict in Verdict]: number } = { EPERM: 1, ENOSYS: 38, EAFNOSUPPORT: 97 };

const nrAt = 0;
const archAt = 4;
const argumentAt = (index: number): number => 16 + 8 * index;
const x32Bit = 0x4000_0000;

/** The program as `struct sock_filter[]`, little endian. */
export function assemble(target: Target, rules: readonly Rule[]): Uint8Array {
  const out: Instruction[] = [
    [loadWord, 0, 0, archAt],
    [jumpEqual, 1, 0, target.audit],
    [giveBack, 0, 0, killProcess],
    [loadWord, 0, 0, nrAt],
  ];
  if (target.x32) out.push([jumpAtLeast, 0, 1, x32Bit], [giveBack, 0, 0, killProcess]);
  for (const rule of rules) out.push(...instructions(rule));
  out.push([giveBack, 0, 0, allow]);
  const bytes = new DataView(new ArrayBuffer(out.length * 8));
  for (const [index, [code, jt, jf, k]] of out.entries()) {
    bytes.setUint16(index * 8, code, true);
    bytes.setUint8(index * 8 + 2, jt);
    bytes.setUint8(index * 8 + 3, jf);
    bytes.setUint32(index * 8 + 4, k, true);
  }
  return new Uint8Array(bytes.buffer);
}

function instructions({ nr, verdict, when }: Rule): Instruction[] {
  const refuse: Instruction = [giveBack, 0, 0, errno | errnos[verdict]];
  if (when === undefined) return [[jumpEqual, 0, 1, nr], refuse];
  const reload: Instruction = [loadWord, 0, 0, nrAt];
  const tests = conditions(when);
  // The load of the argument, the tests, the refusal, and the number again for the next rule.
  return [[jumpEqual, 0, tests.length + 3, nr], [loadWord, 0, 0, argumentAt(when.argument)], ...tests, refuse, reload];
}

/** Falls through to the refusal, or jumps over it. */
function conditions(when: NonNullable<Rule['when']>): Instruction[] {
  if ('hasAnyBit' in when) return [[jumpAnyBit, 0, 1, when.hasAnyBit]];
  if ('lacksBit' in when) return [[jumpAnyBit, 1, 0, when.lacksBit]];
  if ('isNoneOf' in when) return when.isNoneOf.map((k, index, all) => [jumpEqual, all.length - index, 0, k]);
  return when.isOneOf.map((k, index, all) => [jumpEqual, all.length - 1 - index, index === all.length - 1 ? 1 : 0, k]);
}
