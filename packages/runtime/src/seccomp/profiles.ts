/**
 * What a sandboxed process may not ask of the kernel: `exec` for commands, `reads` for those that only read, `cell` for
 * cells of untrusted bundles.
 *
 * 1. Refused in both: looking into other processes, new namespaces and mounts, keys, modules, the machine's clock,
 *    and the parts of the kernel with a long record of holes (bpf, io_uring, userfaultfd, perf).
 * 2. `clone3` is ENOSYS: a filter cannot read its flags, and libc goes back to `clone`, whose flags it can.
 * 3. `exec` has local and internet sockets (its network namespace is empty) but no other family: vsock and the kernel's
 *    own are not held by namespaces.
 * 4. `exec` gets no memory that belongs to no process and no bounded file system: nothing would count it.
 * 5. `reads` has no socket at all: a folder may hold one that somebody listens on, and mounting it read-only keeps nobody
 *    from speaking into it. Nor a pair of sockets, for one of them can be pointed at such a name.
 * 6. `cell` makes no socket, starts no process, only threads, and signals nobody but its own threads. One `execve` must
 *    stay, for it is what starts the cell; without `fork` it can only replace the cell by itself.
 */
import { type Rule, assemble } from './bpf.ts';
import { type Architecture, architecture } from './system-calls.ts';

export type Profile = 'exec' | 'reads' | 'cell';

const inspection = ['ptrace', 'process_vm_readv', 'process_vm_writev', 'process_madvise', 'kcmp', 'pidfd_getfd'];
const mounts = [
  'mount',
  'umount2',
  'pivot_root',
  'chroot',
  'move_mount',
  'fsopen',
  'fsconfig',
  'fsmount',
  'fspick',
  'open_tree',
  'mount_setattr',
  'unshare',
  'setns',
  'name_to_handle_at',
  'open_by_handle_at',
  'fanotify_init',
];
const keys = ['add_key', 'request_key', 'keyctl'];
const machine = [
  'kexec_load',
  'kexec_file_load',
  'init_module',
  'finit_module',
  'delete_module',
  'reboot',
  'swapon',
  'swapoff',
  'acct',
  'quotactl',
  'settimeofday',
  'clock_settime',
  'clock_adjtime',
  'adjtimex',
  'syslog',
  'iopl',
  'ioperm',
  'vhangup',
  'personality',
  'uselib',
  'sysfs',
  'modify_ldt',
  'lookup_dcookie',
];
const holes = [
  'bpf',
  'perf_event_open',
  'userfaultfd',
  'io_uring_setup',
  'io_uring_enter',
  'io_uring_register',
  'mbind',
  'move_pages',
  'migrate_pages',
  'set_mempolicy',
];
/** Programs go back to files without them. */
const uncounted = ['memfd_create', 'memfd_secret', 'shmget'];
const always = [...inspection, ...mounts, ...keys, ...machine, ...holes];
const sockets = ['socket', 'socketpair', 'connect', 'bind', 'listen'];
const processes = ['fork', 'vfork', 'execveat'];
const signals = ['kill', 'tkill', 'rt_sigqueueinfo', 'rt_tgsigqueueinfo', 'pidfd_open', 'pidfd_send_signal'];

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, and NEWTIME. */
const newNamespaces = 0x7e02_0080;
const cloneThread = 0x0001_0000;
/** TIOCSTI and TIOCLINUX type into a terminal. */
const typing = [0x5412, 0x541c];
/** AF_UNIX, AF_INET, AF_INET6, AF_NETLINK. */
const families = [1, 2, 10, 16];

/** The filter for `bwrap --seccomp`, or undefined on an architecture that it cannot be written for. */
export function seccompFilter(profile: Profile, machineName: string): Uint8Array | undefined {
  const target = architecture(machineName);
  return target === undefined ? undefined : assemble(target, rules(profile, target));
}

function rules(profile: Profile, { calls }: Architecture): readonly Rule[] {
  const on = (name: string, rule: Omit<Rule, 'nr'>): Rule[] => {
    const nr = calls[name];
    return nr === undefined ? [] : [{ nr, ...rule }];
  };
  const refuse = (names: readonly string[]): Rule[] => names.flatMap((name) => on(name, { verdict: 'EPERM' }));
  const both = [
    ...refuse(always),
    ...on('clone3', { verdict: 'ENOSYS' }),
    ...on('clone', { verdict: 'EPERM', when: { argument: 0, hasAnyBit: newNamespaces } }),
    ...on('ioctl', { verdict: 'EPERM', when: { argument: 1, isOneOf: typing } }),
  ];
  if (profile !== 'cell')
    return [
      ...both,
      ...uncounted.flatMap((name) => on(name, { verdict: 'ENOSYS' })),
      ...(profile === 'reads' ? refuse(sockets) : []),
      ...on('socket', { verdict: 'EAFNOSUPPORT', when: { argument: 0, isNoneOf: families } }),
    ];
  const threads = on('clone', { verdict: 'EPERM', when: { argument: 0, lacksBit: cloneThread } });
  return [...both, ...refuse([...sockets, ...processes, ...signals]), ...threads];
}
