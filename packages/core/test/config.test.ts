/** Configuration layers: who wins, and what an error says (A12). */
import { describe, expect, test } from 'vitest';
import { notReadYet } from '../src/config/schema.ts';
import { configKeys, loadConfig, environmentLayer, type JsonObject, resolveConfig, type Layer } from '../src/index.ts';

const user = (value: JsonObject): Layer => ({ origin: 'user.yaml', kind: 'user', value });
const system = (value: JsonObject): Layer => ({ origin: 'system.yaml', kind: 'system', value });

describe('files', () => {
  const sources = (text: string | undefined): Parameters<typeof loadConfig>[0] => ({
    env: {},
    userFile: 'u.yaml',
    systemFile: 's.yaml',
    readText: (path) => (path === 'u.yaml' ? text : undefined),
    parse: (source) => JSON.parse(source) as unknown,
  });
  test.each([undefined, '', '\n\n', '# nothing yet\n  # nor here\n'])('%j says nothing', (text) => {
    expect(loadConfig(sources(text)).ok).toBe(true);
  });
  test.each([
    ['[1]', 'u.yaml: the file must be a map'],
    ['{', 'u.yaml: '],
  ])('%j is refused, naming the file', (text, message) => {
    const loaded = loadConfig(sources(text));
    expect(loaded.ok ? '' : loaded.error.message).toContain(message);
  });
});

describe('layers', () => {
  test('defaults alone make a whole configuration', () => {
    const resolved = resolveConfig([]);
    expect(resolved.ok && resolved.value.config.bus.send_timeout_ms).toBe(250);
    expect(configKeys.every((row) => row.about.endsWith('.'))).toBe(true);
  });

  test('the user wins over the system, the environment over both, and origins are kept', () => {
    const env = environmentLayer({ RUNLOOP__LOGGING__LEVEL: 'debug', HOME: '/x' });
    if (!env.ok) throw new Error(env.error.message);
    const resolved = resolveConfig([
      env.value,
      user({ logging: { level: 'warn' }, ui: { theme: 'dark' } }),
      system({ ui: { theme: 'light' } }),
    ]);
    if (!resolved.ok) throw new Error(resolved.error.message);
    expect(resolved.value.config.logging.level).toBe('debug');
    expect(resolved.value.config.ui.theme).toBe('dark');
    expect(resolved.value.origin.get('ui.theme')).toBe('user.yaml');
    expect(resolved.value.origin.get('logging.level')).toBe('environment');
  });

  test.each([
    [{ loging: {} }, 'unknown key loging', 'did you mean logging?'],
    [{ logging: { levle: 'info' } }, 'unknown key logging.levle', 'did you mean logging.level?'],
    [{ logging: { level: 'loud' } }, 'logging.level must be one of error, warn, info, debug, trace', undefined],
    [{ daemon: { runs_max: '3' } }, 'daemon.runs_max must be a whole number', undefined],
    [{ policy: { max_usd: 1 } }, "policy can only be set in the system's file", 'set it in /etc/runloop/config.yaml'],
    [{ kb: 3 }, 'kb is a section', undefined],
  ] as const)('%j is refused', (value, message, hint) => {
    const resolved = resolveConfig([user(value)]);
    expect(resolved.ok ? '' : resolved.error.message).toContain(message);
    if (hint !== undefined) expect(resolved.ok ? '' : resolved.error.hint).toBe(hint);
  });

  test('a key that nothing reads yet is warned about, unless it says what holds anyway', () => {
    const warnings = (value: JsonObject): readonly string[] => {
      const resolved = resolveConfig([user(value)]);
      return resolved.ok ? resolved.value.warnings : ['refused'];
    };
    expect(warnings({ security: { operators_group: 'staff' } })).toEqual([
      'user.yaml: security.operators_group is set, but nothing reads it in this version',
    ]);
    expect(warnings({ security: { operators_group: 'runloop', confirm_external_actions: false } })).toEqual([]);
    expect(notReadYet.filter((key) => !configKeys.some((row) => row.key === key))).toEqual([]);
  });

  test('old names are mapped, with a warning', () => {
    const resolved = resolveConfig([user({ kb: { ledger: '/x/y/led.sqlite' } })]);
    expect(resolved.ok && resolved.value.config.kb.events_db).toBe('led.sqlite');
    expect(resolved.ok && resolved.value.warnings).toEqual(['user.yaml: kb.ledger is an old name, write kb.events_db']);
  });

  test.each([
    'RUNLOOP__SECURITY__CONFIRM_EXTERNAL_ACTIONS',
    'RUNLOOP__POLICY__MAX_USD',
    'RUNLOOP__MODELS__BROKER__PROVIDERS',
  ])('%s is refused', (name) => {
    expect(environmentLayer({ [name]: 'false' }).ok).toBe(false);
  });
});
