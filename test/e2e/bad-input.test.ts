/**
 * Bad input: each gives a clear error, the right exit code, and disturbs nobody else (A12).
 */
import { chmodSync, cpSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Home } from './home.ts';
import { root, template } from './place.ts';

const head = 'version: 0\nname: x\n';
const node = 'nodes:\n  - { id: a, use: "agent:greeter", with: { name: "x" } }\n';

describe('openings', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['empty', '', '1:1: error: the file is empty'],
    ['not a map', '- 1\n', '1:1: error: the opening must be a map'],
    ['cut', 'version: 0\nname: "x', 'error: this is not YAML'],
    ['a tab', 'version: 0\n\tname: x\n', '2:'],
    ['no version', `name: x\n${node}`, 'the key "version" is missing'],
    ['wrong version', `version: 1\nname: x\n${node}`, '1:10: error: this version'],
    ['unknown key', `${head}${node}gaols: []\n`, '5:1: error: unknown key "gaols"'],
    ['twice', `${head}name: y\n${node}`, '3:1: error: the key "name" stands here twice'],
    ['bad name', `version: 0\nname: My Opening\n${node}`, 'for example: my_opening'],
    ['no nodes', `${head}nodes: []\n`, 'at least one node'],
    [
      'same id',
      `${head}nodes:\n  - { id: a, use: "agent:greeter" }\n  - { id: a, use: "agent:greeter" }\n`,
      '5:11: error: two nodes are called "a"',
    ],
    ['no such agent', `${head}nodes:\n  - { id: a, use: "agent:greter" }\n`, 'did you mean "agent:greeter"?'],
    ['neither agent nor opening', `${head}nodes:\n  - { id: a, use: greeter }\n`, 'did you mean "agent:greeter"?'],
    ['no such node', `${head}${node}edges:\n  - { from: b.out, to: a.in }\n`, '6:13: error: there is no node "b"'],
    ['no such port', `${head}${node}success: { all_of: ["exists(a.outt)"] }\n`, 'no output port "outt"'],
    [
      'cycle',
      `${head}nodes:\n  - { id: a, use: "agent:slow" }\n  - { id: b, use: "agent:slow" }\nedges:\n  - { from: a.out, to: b.in }\n  - { from: b.out, to: a.in }\n`,
      'the nodes form a cycle: ',
    ],
    [
      'a key that no frame can carry',
      `${head}nodes:\n  - { id: a, use: "agent:greeter", with: { __proto__: { x: 1 }, name: "x" } }\n`,
      '4:44: error: a key cannot be called __proto__',
    ],
    ['negative', `${head}policy: { timeout_ms: -1 }\n${node}`, 'must not be less than 0'],
    [
      'template',
      `${head}nodes:\n  - { id: a, use: "agent:greeter", with: { name: "{{params.who}}" } }\n`,
      'there is no parameter "who"',
    ],
    ['with', `${head}nodes:\n  - { id: a, use: "agent:greeter", with: { nme: "x" } }\n`, 'does not know: "nme"'],
    ['anchor', `${head}goals: &g ["x"]\n${node}`, 'anchors are not part of the language'],
    ['alias', `${head}goals: *g\n${node}`, 'error:'],
    ['predicate', `${head}${node}edges:\n  - { from: "a.out===1", to: a.in }\n`, 'error:'],
  ];
  test('each is refused with its place, 65, and no stack', async () => {
    await using home = new Home();
    for (const [name, yaml, message] of cases) {
      const file = join(home.path, 'bad.yaml');
      writeFileSync(file, yaml);
      const done = await home.rlp('lint', file);
      expect(`${name}: ${done.code} ${done.err}`).toContain(`${name}: 65 `);
      expect(`${name}: ${done.err}`).toContain(message);
      expect(done.err).not.toMatch(/\n\s+at /);
    }
  });

  test('10 MiB, and a billion laughs, are refused at once', async () => {
    await using home = new Home();
    const huge = join(home.path, 'huge.yaml');
    writeFileSync(huge, `${head}${node}goals:\n${'  - "x"\n'.repeat(1_400_000)}`);
    expect(await home.rlp('lint', huge)).toMatchObject({ code: 65, err: expect.stringMatching(/MiB/) });
    const laughs = join(home.path, 'laughs.yaml');
    writeFileSync(
      laughs,
      `a: &a ["x","x"]\n${Array.from({ length: 20 }, (_, i) => `b${i}: &b${i} [*a,*a]`).join('\n')}\n`,
    );
    expect((await home.rlp('lint', laughs)).code).toBe(65);
    expect((await home.run(['hello'])).code).toBe(0);
  });

  test('files, names and parameters that are not there', async () => {
    await using home = new Home();
    expect(await home.rlp('run', 'nothing.yaml')).toMatchObject({
      code: 66,
      err: expect.stringContaining('there is no file nothing.yaml'),
    });
    expect(await home.rlp('run', 'helo')).toMatchObject({
      code: 66,
      err: expect.stringContaining('did you mean "hello"?'),
    });
    expect(await home.rlp('run', 'hello', '--params', '{')).toMatchObject({
      code: 65,
      err: expect.stringContaining('--params is not JSON'),
    });
    expect(await home.rlp('run', 'hello', '-p', 'nmae=x')).toMatchObject({
      code: 65,
      err: expect.stringContaining('did you mean "name"?'),
    });
    expect(await home.rlp('rn', 'hello')).toMatchObject({ code: 2, err: expect.stringContaining('did you mean') });
    expect(await home.rlp('run')).toMatchObject({ code: 2 });
    expect(await home.rlp('show', 'xyz')).toMatchObject({ code: 2 });
    expect(await home.rlp('show', '0'.repeat(32))).toMatchObject({ code: 66 });
  });
});

describe('the machine', () => {
  test('a second daemon is refused, naming the first', async () => {
    await using home = new Home();
    await home.rlp('daemon', 'start');
    const pid = await home.pid();
    const { spawnSync } = await import('node:child_process');
    const second = spawnSync(join(root, 'bin/runloopd'), [], {
      env: { ...process.env, RUNLOOP_HOME: home.path },
      encoding: 'utf8',
    });
    expect(second.status).toBe(75);
    expect(second.stderr).toContain(String(pid));
    expect(await home.pid()).toBe(pid);
  });

  test('a state directory that cannot be', async () => {
    await using home = new Home({ bare: true });
    expect(await home.rlpWith({ env: { RUNLOOP_HOME: '/proc/none' } }, 'run', 'hello')).toMatchObject({
      code: 69,
      err: expect.stringContaining('RUNLOOP_HOME'),
    });
    writeFileSync(join(home.path, 'file'), '');
    const done = await home.rlpWith({ env: { RUNLOOP_HOME: join(home.path, 'file', 'x') } }, 'run', 'hello');
    expect(done.code).toBe(69);
    expect(done.err).not.toMatch(/\n\s+at /);
  });

  test('a socket path of more than 107 bytes', async () => {
    await using home = new Home({ bare: true });
    const long = join(home.path, 'x'.repeat(60), 'y'.repeat(60));
    mkdirSync(long, { recursive: true, mode: 0o700 });
    const done = await home.rlpWith({ env: { RUNLOOP_HOME: long } }, 'run', 'hello');
    expect(done.code).not.toBe(0);
    expect(done.err).toContain('107');
  });

  test('any bytes on the socket disturb nobody', async () => {
    await using home = new Home();
    await home.rlp('daemon', 'start');
    const noise = [
      Buffer.alloc(0),
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.alloc(100_000, 0xff),
      Buffer.from([0, 0, 0, 0]),
      Buffer.from('000000a0', 'hex'),
    ];
    for (const bytes of noise) {
      await new Promise<void>((resolve) => {
        const socket = connect(join(home.path, 'sock', 'rmp.sock'), () => socket.end(bytes));
        socket.on('error', () => resolve());
        socket.on('close', () => resolve());
        socket.resume();
      });
    }
    expect((await home.run(['hello'])).code).toBe(0);
  });

  test('a bundle with one changed byte is refused', async () => {
    await using home = new Home();
    const wasm = join(home.path, 'agents', 'slow', 'bin', 'slow.wasm');
    const bytes = readFileSync(wasm);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    writeFileSync(wasm, bytes);
    writeFileSync(join(home.path, 'slow.yaml'), `${head}nodes:\n  - { id: a, use: "agent:slow" }\n`);
    expect(await home.rlp('run', join(home.path, 'slow.yaml'))).toMatchObject({
      code: 65,
      err: expect.stringContaining('slow.wasm'),
    });
  });

  test('a bundle that somebody else signed is refused', async () => {
    await using home = new Home({ bare: true });
    mkdirSync(join(home.path, 'agents'), { mode: 0o700 });
    cpSync(join(template, 'agents', 'slow'), join(home.path, 'agents', 'slow'), { recursive: true });
    writeFileSync(join(home.path, 'slow.yaml'), `${head}nodes:\n  - { id: a, use: "agent:slow" }\n`);
    expect(await home.rlp('run', join(home.path, 'slow.yaml'))).toMatchObject({
      code: 65,
      err: expect.stringContaining('a key that the trust policy does not name'),
    });
  });

  test('a configuration with a mistake names the key and the file', async () => {
    await using home = new Home({ bare: true });
    writeFileSync(join(home.path, 'config.yaml'), 'logging:\n  levle: info\n');
    expect(await home.rlp('config', 'validate')).toMatchObject({
      code: 65,
      err: expect.stringContaining('did you mean logging.level?'),
    });
    expect((await home.rlp('run', 'hello')).code).toBe(65);
  });

  test('who cannot read the token cannot submit, read runs or approve', async () => {
    await using home = new Home();
    await home.rlp('daemon', 'start');
    const token = join(home.path, 'operator.token');
    const kept = readFileSync(token, 'utf8');
    writeFileSync(token, `${'0'.repeat(64)}\n`);
    for (const args of [['run', 'hello'], ['runs'], ['approve', 'yes', 'act_1']]) {
      const done = await home.rlp(...args);
      expect(`${args[0] ?? ''} ${done.code}`).toBe(`${args[0] ?? ''} 77`);
    }
    writeFileSync(token, kept);
    chmodSync(token, 0o600);
  });
});

describe('a hostile opening on the terminal', () => {
  // oxlint-disable-next-line no-control-regex -- control characters are what this looks for
  const obeyed = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/u;
  const text = `version: 0\nname: x\ngoals: ["\\e[31mred\\u009b2J\\u202e"]\nparams: { name: "\\e]0;x\\a\\u009b" }\n${node}`;

  test.each([[['plan']], [['plan', '--json']], [['lint']], [['run', '--pretty']], [['run', '--ndjson']]])(
    'rlp %j writes nothing that a terminal would obey',
    async ([command = '', ...more]) => {
      await using home = new Home();
      const file = join(home.path, 'x.yaml');
      writeFileSync(file, text);
      const { code, out, err } = await home.rlp(command, file, ...more);
      expect(code).toBe(0);
      expect(out).not.toMatch(obeyed);
      expect(err).not.toMatch(obeyed);
    },
  );
});

test('--trace-out that cannot be written is refused before anything runs', async () => {
  await using home = new Home();
  const { code, err } = await home.rlp('run', 'hello', '--trace-out', join(home.path, 'no', 'such', 'x'));
  expect({ code, err }).toMatchObject({ code: 2, err: expect.stringContaining('ENOENT') });
  expect(await home.json<unknown[]>('runs')).toEqual([]);
});

test('a state directory in which the log cannot be written: says so, and what to do', async () => {
  await using home = new Home({ bare: true });
  mkdirSync(join(home.path, 'logs', 'daemon.out'), { recursive: true });
  const { code, err } = await home.rlp('run', 'hello');
  expect({ code, err }).toMatchObject({ code: 69, err: expect.stringContaining('set RUNLOOP_HOME') });
});

test('a ledger that is taken away under the daemon is told of by its status, until it is back', async () => {
  await using home = new Home();
  const propose = () => home.rlp('kb', 'propose', '--kind', 'note.created', '--payload', '{"text":"x"}');
  const storage = async (): Promise<unknown> =>
    (JSON.parse((await home.rlp('daemon', 'status', '--json')).out) as { storage: unknown }).storage;
  expect((await propose()).code).toBe(0);
  const ledger = join(home.path, 'pog', 'events.sqlite');
  renameSync(ledger, `${ledger}.away`);
  expect((await propose()).err).toContain('events.sqlite was removed or replaced');
  expect(await storage()).toEqual([{ code: 'StorageFailed', message: expect.stringContaining('events.sqlite') }]);
  renameSync(`${ledger}.away`, ledger);
  expect((await propose()).code).toBe(0);
  expect(await storage()).toEqual([]);
});
