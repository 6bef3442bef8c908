/**
 * The configuration: one table gives types, defaults, what each key is for, and where it may be set.
 *
 * `Config` is the same table as a type; a test holds the two together.
 */
import type { JsonValue } from '../json.ts';

export type Config = {
  readonly version: 1;
  readonly runtime: {
    readonly base: string;
    readonly agent_container: 'component' | 'wasm32-wasip1';
    readonly socket_path: string;
    readonly sockets_dir: string;
    readonly spawn_ready_timeout_ms: number;
    readonly exec_timeout_ms: number;
    readonly max_parallel: number;
  };
  readonly tools: { readonly mcp: { readonly servers: JsonValue } };
  readonly mail: {
    readonly transport: {
      readonly host: string;
      readonly port: number;
      readonly security: 'starttls' | 'tls' | 'none-loopback-only';
      readonly user: string;
      readonly password_secret: string;
      readonly ca_file: string;
    };
    readonly from: string;
  };
  readonly agents: { readonly search_dirs: readonly string[] };
  readonly openings: { readonly search_dirs: readonly string[] };
  readonly models: {
    readonly default: string;
    readonly broker: {
      readonly providers: readonly JsonValue[];
      readonly route: readonly JsonValue[];
      readonly cache: JsonValue;
      readonly budgets: JsonValue;
      readonly prices: readonly JsonValue[];
    };
  };
  readonly kb: {
    readonly root_dir: string;
    readonly events_db: string;
    readonly view_db: string;
    readonly embedder: string;
  };
  readonly logging: {
    readonly level: 'error' | 'warn' | 'info' | 'debug' | 'trace';
    readonly format: 'auto' | 'json' | 'text';
    readonly file: string;
  };
  readonly observability: {
    readonly traces: { readonly enabled: boolean; readonly otlp_endpoint: string; readonly sampling: string };
  };
  readonly security: {
    readonly confirm_external_actions: boolean;
    readonly operators_group: string;
    readonly caps: {
      readonly audit_on_deny: boolean;
      readonly audit_on_allow: boolean;
      readonly fail_on_empty: boolean;
    };
    readonly sandbox: { readonly allow_weak: boolean };
    readonly secrets: { readonly provider: 'os-keyring' | 'vault' | 'systemd' | 'env'; readonly root: string };
  };
  readonly router: {
    readonly fastpath_shell: boolean;
    readonly default_opening: string;
    readonly allowlist: readonly string[];
    readonly denylist: readonly string[];
    readonly known_commands: readonly string[];
  };
  readonly bus: {
    readonly body_bytes_max: number;
    readonly send_timeout_ms: number;
    readonly slow_consumer_ms: number;
    readonly queue_frames_max: number;
    readonly dedupe_keys_max: number;
    readonly register: readonly JsonValue[];
  };
  readonly daemon: { readonly autostart: boolean; readonly runs_max: number; readonly nodes_waiting_max: number };
  readonly policy: { readonly [key: string]: JsonValue };
  readonly ui: { readonly theme: string };
};

export type KeyType = 'string' | 'boolean' | 'integer' | 'strings' | 'list' | 'object' | readonly string[];
export type KeyRow = {
  readonly key: string;
  readonly type: KeyType;
  readonly default: JsonValue;
  readonly about: string;
  readonly min?: number;
};

const home = '~/.runloop';

export const configKeys: readonly KeyRow[] = [
  { key: 'version', type: 'integer', default: 1, about: 'Version of this file; always 1.', min: 1 },
  {
    key: 'runtime.base',
    type: 'string',
    default: 'debian',
    about: 'The distribution that exec sandboxes are made for.',
  },
  {
    key: 'runtime.agent_container',
    type: ['component', 'wasm32-wasip1'],
    default: 'component',
    about: 'How agents are packaged; wasm32-wasip1 means commands.',
  },
  {
    key: 'runtime.socket_path',
    type: 'string',
    default: '',
    about: 'The socket; wins over everything, unreachable is an error at once.',
  },
  { key: 'runtime.sockets_dir', type: 'string', default: '', about: 'A directory that holds rmp.sock.' },
  {
    key: 'runtime.spawn_ready_timeout_ms',
    type: 'integer',
    default: 5000,
    about: 'How long a daemon or cell may take to become ready.',
    min: 1,
  },
  {
    key: 'runtime.exec_timeout_ms',
    type: 'integer',
    default: 60_000,
    about: 'Deadline of one command that an agent executes.',
    min: 1,
  },
  { key: 'runtime.max_parallel', type: 'integer', default: 4, about: 'Nodes that run at once, over all runs.', min: 1 },
  {
    key: 'tools.mcp.servers',
    type: 'object',
    default: {},
    about: 'MCP servers that tools of agents may use, by name: { command, args } or { url }.',
  },
  {
    key: 'mail.transport.host',
    type: 'string',
    default: '',
    about: 'The mail server that agents send through (SMTP); empty: mail stays a draft.',
  },
  { key: 'mail.transport.port', type: 'integer', default: 587, about: 'Its port.', min: 1 },
  {
    key: 'mail.transport.security',
    type: ['starttls', 'tls', 'none-loopback-only'],
    default: 'starttls',
    about: 'TLS after STARTTLS, TLS from the start, or none, for a server on this machine.',
  },
  { key: 'mail.transport.user', type: 'string', default: '', about: 'Whom to sign in as; empty: nobody.' },
  {
    key: 'mail.transport.password_secret',
    type: 'string',
    default: '',
    about: 'Id of its password (rlp secrets put <id> --for smtp://host:port).',
  },
  {
    key: 'mail.transport.ca_file',
    type: 'string',
    default: '',
    about: 'Certificates to trust beside those of the system (PEM).',
  },
  { key: 'mail.from', type: 'string', default: '', about: 'The one address that may be sent from; empty: any.' },
  {
    key: 'agents.search_dirs',
    type: 'strings',
    default: [`${home}/agents`, '/usr/share/runloop/agents', './agents'],
    about: 'Where agents are looked for, in this order.',
  },
  {
    key: 'openings.search_dirs',
    type: 'strings',
    default: [`${home}/openings`, '/usr/share/runloop/openings', './examples/openings'],
    about: 'Where openings are looked for, in this order.',
  },
  {
    key: 'models.default',
    type: 'string',
    default: 'local:llama3.1-8b',
    about: 'The model that an agent gets when it names none.',
  },
  { key: 'models.broker.providers', type: 'list', default: [], about: 'Model providers (docs/broker.md).' },
  {
    key: 'models.broker.route',
    type: 'list',
    default: [],
    about: 'Which provider serves which model; the first match wins.',
  },
  { key: 'models.broker.cache', type: 'object', default: {}, about: 'ttl_ms and capacity of the answer cache.' },
  { key: 'models.broker.budgets', type: 'object', default: {}, about: 'Caps on tokens and dollars.' },
  {
    key: 'models.broker.prices',
    type: 'list',
    default: [],
    about:
      'Prices that come before the table of the package: { pattern, input, output }, dollars for a million tokens.',
  },
  { key: 'kb.root_dir', type: 'string', default: `${home}/pog`, about: 'The ledger and its views.' },
  { key: 'kb.events_db', type: 'string', default: 'events.sqlite', about: 'File name of the ledger.' },
  { key: 'kb.view_db', type: 'string', default: 'pog.sqlite', about: 'File name of the views.' },
  {
    key: 'kb.embedder',
    type: 'string',
    default: 'hash-ngram-384',
    about: 'What makes vectors for search: the built-in one, or a model that models.broker.route serves.',
  },
  {
    key: 'logging.level',
    type: ['error', 'warn', 'info', 'debug', 'trace'],
    default: 'info',
    about: 'What is logged.',
  },
  { key: 'logging.format', type: ['auto', 'json', 'text'], default: 'auto', about: 'auto: JSON unless a terminal.' },
  {
    key: 'logging.file',
    type: 'string',
    default: '',
    about: 'The log file; empty means logs/daemon.log in the state directory.',
  },
  { key: 'observability.traces.enabled', type: 'boolean', default: false, about: 'Export traces by OTLP.' },
  { key: 'observability.traces.otlp_endpoint', type: 'string', default: '', about: 'Where traces go.' },
  {
    key: 'observability.traces.sampling',
    type: 'string',
    default: 'parent',
    about: 'parent, always_on or ratio:<fraction>.',
  },
  {
    key: 'security.confirm_external_actions',
    type: 'boolean',
    default: true,
    about: 'Whether what leaves the machine needs a yes.',
  },
  {
    key: 'security.operators_group',
    type: 'string',
    default: 'runloop',
    about: 'The group that operates the system daemon.',
  },
  { key: 'security.caps.audit_on_deny', type: 'boolean', default: true, about: 'Record every refusal.' },
  { key: 'security.caps.audit_on_allow', type: 'boolean', default: false, about: 'Record every grant that is used.' },
  {
    key: 'security.caps.fail_on_empty',
    type: 'boolean',
    default: false,
    about: 'Fail an agent that has no capability left.',
  },
  {
    key: 'security.sandbox.allow_weak',
    type: 'boolean',
    default: false,
    about: 'Let untrusted bundles run without namespaces.',
  },
  {
    key: 'security.secrets.provider',
    type: ['os-keyring', 'vault', 'systemd', 'env'],
    default: 'os-keyring',
    about: 'Where secrets live.',
  },
  { key: 'security.secrets.root', type: 'string', default: `${home}/secrets`, about: 'Folder of the vault.' },
  {
    key: 'router.fastpath_shell',
    type: 'boolean',
    default: true,
    about: 'Let what is plainly a command run without asking further.',
  },
  { key: 'router.default_opening', type: 'string', default: 'ask', about: 'What a sentence at the prompt starts.' },
  { key: 'router.allowlist', type: 'strings', default: [], about: 'First words that always go to the shell.' },
  { key: 'router.denylist', type: 'strings', default: [], about: 'First words that are blocked.' },
  { key: 'router.known_commands', type: 'strings', default: [], about: 'Commands that PATH does not show.' },
  {
    key: 'bus.body_bytes_max',
    type: 'integer',
    default: 8_388_608,
    about: 'Largest body of a frame, in bytes.',
    min: 1024,
  },
  {
    key: 'bus.send_timeout_ms',
    type: 'integer',
    default: 250,
    about: 'How long a publisher is paused for a full subscriber.',
    min: 0,
  },
  {
    key: 'bus.slow_consumer_ms',
    type: 'integer',
    default: 5000,
    about: 'How long a subscriber may stay full.',
    min: 1,
  },
  { key: 'bus.queue_frames_max', type: 'integer', default: 4096, about: "Frames in one subscriber's queue.", min: 1 },
  {
    key: 'bus.dedupe_keys_max',
    type: 'integer',
    default: 65_536,
    about: 'Duplicate keys kept for each topic.',
    min: 1,
  },
  { key: 'bus.register', type: 'list', default: [], about: 'Schema ids of your own: {id, type}.' },
  { key: 'daemon.autostart', type: 'boolean', default: true, about: 'Start the daemon when a command needs it.' },
  { key: 'daemon.runs_max', type: 'integer', default: 64, about: 'Runs at once; more are refused.', min: 1 },
  {
    key: 'daemon.nodes_waiting_max',
    type: 'integer',
    default: 100_000,
    about: 'Nodes of all runs that may wait for a slot; more are refused. One opening may have 20 000.',
    min: 1,
  },
  { key: 'policy', type: 'object', default: {}, about: 'Hard limits, in the system file only.' },
  { key: 'ui.theme', type: 'string', default: 'mono', about: 'Theme of the terminal views.' },
];

/** Keys that the environment cannot set. */
export const notFromEnvironment: readonly string[] = ['security', 'policy', 'models.broker.providers', 'tools', 'mail'];

/**
 * Keys that nothing reads yet: setting one is allowed, for the file is that of later versions too, and answered by a
 * warning, so that nobody relies on it. What they would loosen stays strict.
 */
export const notReadYet: readonly string[] = [
  'runtime.base',
  'runtime.agent_container',
  'logging.format',
  'observability.traces.enabled',
  'observability.traces.otlp_endpoint',
  'observability.traces.sampling',
  'security.operators_group',
  'bus.register',
  'policy',
  'ui.theme',
];
