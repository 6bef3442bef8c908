/** The kernel over ports that record what they were asked, in order. */
import { describe, expect, test } from 'vitest';
import { type JsonValue, type Label, digestJson, labelOf } from '@runloop/core';
import {
  type CallResult,
  type Caps,
  type KernelContext,
  type KernelDoor,
  type RecordedCall,
  type Verdict,
  createKernel,
  narrow,
  noCaps,
  operation,
  operationNames,
  parseCaps,
} from '../src/index.ts';
import { matches } from '../src/trust/patterns.ts';

const everything: Caps = {
  ...noCaps,
  fs: [{ path: '/data', write: true }],
  time: true,
  net: ['api.example.com', '*.example.org', 'http://plain.test:8080'],
  kb_read: true,
  kb_write: true,
  secrets: ['runloop/mail/smtp'],
  model: { allow: ['local:*'] },
  exec: [{ command: '/usr/bin/git', argv: ['log', '{path}'] }],
  tools: ['weather'],
  mail: { from: 'me@example.com', to: ['*@example.com'] },
  mailbox: ['writer'],
};

/** One call of each operation that `everything` grants. */
const granted: { readonly [op: string]: JsonValue } = {
  'model.complete': { model: 'local:x', messages: [] },
  'model.embed': { texts: [] },
  'kb.query': { kind: 'contact' },
  'kb.search': { text: 'john' },
  'kb.why': { entity: 'contact:john' },
  'kb.propose': { kind: 'contact.upserted' },
  'http.fetch': { url: 'https://api.example.com/x', method: 'POST' },
  'exec.run': { command: '/usr/bin/git', argv: ['log', 'src'] },
  'tools.call': { tool: 'weather' },
  'secrets.ref': { id: 'runloop/mail/smtp' },
  'mailbox.receive': {},
  'mailbox.send': { to: 'writer' },
  'mail.send': { to: ['a@example.com'] },
  'fs.stat': { path: '/data/x' },
  'fs.list': { path: '/data' },
  'fs.read': { path: '/data/x' },
  'fs.write': { path: '/data/x', mode: 'replace', data: '' },
  'fs.mkdir': { path: '/data/y' },
  'fs.remove': { path: '/data/x' },
  'fs.rename': { from: '/data/x', to: '/data/y' },
  'clock.now': {},
  'clock.sleep': { ms: 1 },
};

type Options = {
  readonly caps?: Caps;
  readonly tape?: readonly RecordedCall[];
  readonly earlier?: readonly RecordedCall[];
  readonly mode?: 'live' | 'replay';
  readonly decision?: 'approved' | 'denied' | 'pending';
  /** What a person asks for in place of the first call that is asked about. */
  readonly edited?: JsonValue;
  readonly perform?: CallResult;
  /** What the arguments refer to, one answer for each time that it is asked. */
  readonly referents?: { readonly [what: string]: string }[];
  readonly missing?: Verdict;
  readonly latent?: boolean;
  readonly label?: Label;
};

function open(options: Options = {}): {
  readonly door: KernelDoor;
  readonly trail: string[];
  readonly records: RecordedCall[];
} {
  const trail: string[] = [];
  const records: RecordedCall[] = [];
  const step = async (what: string, record?: RecordedCall): Promise<void> => {
    await Promise.resolve();
    trail.push(what);
    if (record !== undefined) records.push(record);
  };
  const kernel = createKernel({
    journal: {
      intent: (record) => step(`intent ${record.op}`),
      result: (record) => step(`result ${record.op}`, record),
      note: (record) => {
        trail.push(`note ${record.op}`);
        records.push(record);
      },
    },
    cleared: () => true,
    approvals: {
      ask: async (request) => {
        trail.push(
          `ask ${request.op}${request.referents?.['x'] === undefined ? '' : ` with ${request.referents['x']}`}`,
        );
        const isFirst = options.edited !== undefined && request.args !== options.edited;
        return isFirst ? { edited: options.edited } : (options.decision ?? 'approved');
      },
    },
    missing: () => options.missing,
    referents: async () => options.referents?.shift() ?? {},
    leaves: () => Promise.resolve(options.latent === true),
    perform: async (op, args, { approved }) => {
      if (args === options.edited) trail.push('edited');
      trail.push(`perform ${op}${approved && op.startsWith('fs.') ? ' with approval' : ''}`);
      return options.perform ?? { ok: true, value: { did: op } };
    },
    audit: (audit) => void (audit.decision === 'deny' && trail.push(`audit ${audit.cap} ${audit.target}`)),
    line: () => {},
  });
  const ctx: KernelContext = {
    agent: 'probe',
    run_id: 'run_1',
    trace_id: 'ab'.repeat(16),
    node: 'n',
    attempt: 1,
    caps: options.caps ?? everything,
    tape: options.tape ?? [],
    ...(options.earlier === undefined ? {} : { earlier: options.earlier }),
    ...(options.label === undefined ? {} : { label: options.label }),
    mode: options.mode ?? 'live',
  };
  return { door: kernel.open(ctx), trail, records };
}
const signal = new AbortController().signal;

describe('A8: every operation passes the one door', () => {
  test('each operation of the table has a case here', () =>
    expect(Object.keys(granted).sort()).toEqual([...operationNames].sort()));

  test.each(operationNames)('%s: nothing granted, nothing performed, the refusal names the grant', async (op) => {
    if (op === 'mailbox.receive') return;
    const { door, trail } = open({ caps: noCaps });
    expect(await door.call(op, granted[op] ?? {}, signal)).toMatchObject({
      type: 'error',
      code: 'CapabilityDenied',
      message: expect.stringMatching(/missing grant: \w+/),
    });
    expect(trail.map((line) => line.split(' ')[0])).toEqual(['audit', 'note']);
  });

  test.each(operationNames)('A6: %s: intent before, result after, approval where the table says', async (op) => {
    const { door, trail } = open();
    const args = granted[op] ?? {};
    expect(await door.call(op, args, signal)).toEqual({ type: 'value', value: { did: op } });
    const row = operation(op, args);
    const expected =
      row?.cls === 'pure'
        ? [`perform ${op}`, `note ${op}`]
        : [...(row?.approval === true ? [`ask ${op}`] : []), `intent ${op}`, `perform ${op}`, `result ${op}`];
    expect(trail).toEqual(expected);
  });

  test('every send, delete and spend asks', () => {
    const asks = operationNames.filter((op) => operation(op, granted[op] ?? {})?.approval === true);
    expect(asks.sort()).toEqual(['exec.run', 'http.fetch', 'mail.send', 'tools.call']);
    for (const method of ['PUT', 'PATCH', 'DELETE', 'get', 'OPTIONS', 7])
      expect(operation('http.fetch', { method })?.approval).toBe(true);
    for (const method of ['GET', 'HEAD'])
      expect(operation('http.fetch', { method })).toMatchObject({ cls: 'idempotent', approval: false });
  });

  test('a command that can only read is not asked about, whatever it has seen; with one argument more it is', async () => {
    const git = { command: '/usr/bin/git', argv: ['log'], more: ['--oneline'] };
    const exec = [
      { ...git, reads: true as const },
      { ...git, more: ['--output={file}'] },
    ];
    const label = labelOf('fs:/data', { untrusted: true, private: true });
    const call = async (...argv: string[]): Promise<readonly string[]> => {
      const { door, trail } = open({ caps: { ...everything, exec }, label });
      await door.call('exec.run', { command: '/usr/bin/git', argv }, signal);
      return trail;
    };
    expect(await call('log', '--oneline')).toEqual(['perform exec.run', 'note exec.run']);
    expect((await call('log', '--output=/x'))[0]).toBe('ask exec.run');
    expect((await call('log', '-c'))[0]).toMatch(/^audit exec/);
  });

  test.each(['nothing', 'model.delete', '__proto__', 'constructor'])('there is no operation %s', async (op) => {
    const { door, trail } = open();
    expect(await door.call(op, {}, signal)).toMatchObject({ type: 'error', code: 'InvalidParams' });
    expect(trail).toEqual([`audit ${op.slice(0, 64)} `]);
  });
});

describe('grants', () => {
  const refused: readonly (readonly [string, JsonValue])[] = [
    ['http.fetch', { url: 'http://api.example.com/' }],
    ['http.fetch', { url: 'https://api.example.com:8443/' }],
    ['http.fetch', { url: 'https://user:pw@api.example.com/' }],
    ['http.fetch', { url: 'https://example.org/' }],
    ['http.fetch', { url: 'https://evil.test/?.example.org' }],
    ['http.fetch', { url: 'file:///etc/passwd' }],
    ['http.fetch', { url: 7 }],
    ['http.fetch', 'https://api.example.com/'],
    ['exec.run', { command: '/usr/bin/git', argv: ['log', '--output=/x'] }],
    ['exec.run', { command: '/usr/bin/git', argv: ['log', ''] }],
    ['exec.run', { command: '/usr/bin/git', argv: ['log', 'a', 'b'] }],
    ['exec.run', { command: '/usr/bin/git', argv: ['log', 'a\0b'] }],
    ['exec.run', { command: '/bin/sh', argv: ['-c', 'id'] }],
    ['mail.send', { to: ['a@example.com', 'b@evil.test'] }],
    ['mail.send', { to: [] }],
    ['mail.send', { from: 'you@example.com', to: ['a@example.com'] }],
    ['model.complete', { model: 'cloud:big' }],
    ['tools.call', { tool: 'other' }],
    ['secrets.ref', { id: 'runloop/other' }],
    ['mailbox.send', { to: 'mailer' }],
    ['fs.read', { path: '/database/x' }],
    ['fs.read', { path: '/data/../etc/passwd' }],
    ['fs.read', { path: '/data//x' }],
    ['fs.read', { path: '/data/x/' }],
    ['fs.read', { path: '/data/x\0' }],
    ['fs.read', { path: 'data/x' }],
    ['fs.read', { path: '' }],
    ['fs.read', { path: 7 }],
    ['fs.read', { path: `/data/${'x'.repeat(256)}` }],
    ['fs.rename', { from: '/data/x', to: '/etc/x' }],
    ['fs.rename', { to: '/data/x' }],
  ];
  test.each(refused)('%s %j is refused', async (op, args) => {
    expect(await open().door.call(op, args, signal)).toMatchObject({ code: 'CapabilityDenied' });
  });

  test('domains of the knowledge base', async () => {
    const caps: Caps = { ...noCaps, kb_read: ['contacts'] };
    const ask = async (args: JsonValue): Promise<string> =>
      (await open({ caps }).door.call('kb.search', args, signal)).type;
    expect(await ask({ text: 'x', kinds: ['contact'] })).toBe('value');
    expect(await ask({ text: 'x', kinds: ['contact', 'artifact'] })).toBe('error');
    expect(await ask({ text: 'x' })).toBe('error');
  });

  test.each([
    ['*', 'anything', true],
    ['a*c', 'abc', true],
    ['a*c', 'ac', true],
    ['a*c', 'ab', false],
    ['*@x.y', '@x.y', true],
    ['ab*b', 'ab', false],
    ['a*b*c', 'a1b2c', true],
    ['a*b*c', 'acb', false],
    ['a', 'ab', false],
  ])('%s matches %s: %s', (pattern, text, expected) => expect(matches(pattern, text)).toBe(expected));

  test('narrowing never grants more than either', () => {
    const narrowed = narrow(everything, {
      ...noCaps,
      kb_read: ['contacts'],
      model: { allow: ['*'], tokens_per_run: 5 },
      net: ['api.example.com', 'other'],
    });
    expect(narrowed).toEqual({
      ...noCaps,
      kb_read: ['contacts'],
      model: { allow: ['local:*'], tokens_per_run: 5 },
      net: ['api.example.com'],
    });
  });

  test.each([
    ['modle = true', /did you mean "model"/],
    ['time = 1', /true or false/],
    ['fs = "/tmp"', /list/],
    ['fs = [7]', /list/],
    ['fs = ["tmp"]', /absolute/],
    ['fs = ["/"]', /everything/],
    ['fs = ["/a/*"]', /pattern/],
    ['fs = ["/a/../b"]', /"\.\."/],
    ['fs = ["/a", "/a/"]', /twice/],
    ['fs = ["/proc/self"]', /never/],
    ['fs = [{ path = "/run/user", write = true }]', /never/],
    ['fs = [{ path = "/a", wirte = true }]', /wirte/],
    ['model = 3', /true, false or a table/],
    ['limits = { memory_mib = 100000 }', /more than 1024/],
    ['limits = { memory_mib = 0 }', /1 or more/],
    ['exec = [{ command = "git" }]', /absolute/],
    ['exec = [{ command = "/bin/tar", argv = ["--file={path}"] }]', /one whole argument/],
    ['exec = [{ command = "/bin/tar", argv = ["{path:text}"] }]', /one whole argument/],
    ['exec = [{ command = "/bin/git", more = ["x{a}"] }]', /one whole argument/],
    ['exec = [{ command = "/bin/git", raeds = true }]', /raeds/],
    ['fs = [{ path = ".", write = "sometimes" }]', /true or false/],
    ['fs = [".."]', /absolute/],
    ['fs = ["./../x"]', /"\.\."/],
    ['= 3', /policy.caps/],
  ])('policy.caps %s is an error', (text, expected) => {
    const parsed = parseCaps(text);
    expect(parsed.ok ? '' : parsed.error.message).toMatch(expected);
  });
});

describe('the tape', () => {
  const call = (
    index: number,
    op: string,
    args: JsonValue,
    cls: RecordedCall['cls'],
    result?: CallResult,
  ): RecordedCall => ({
    index,
    call: 'c',
    op,
    args_hash: digestJson(args),
    cls,
    ...(result === undefined ? {} : { result }),
  });
  const mail = { to: ['a@example.com'], subject: 's' };

  test('a recorded call is answered from it, and the next goes on live', async () => {
    const { door, trail } = open({ tape: [call(0, 'mail.send', mail, 'once', { ok: true, value: 'sent' })] });
    expect(await door.call('mail.send', mail, signal)).toEqual({ type: 'value', value: 'sent' });
    expect(trail).toEqual([]);
    await door.call('kb.search', { text: 'x' }, signal);
    expect(trail).toEqual(['perform kb.search', 'note kb.search']);
  });

  test('another call than was recorded suspends', async () => {
    const { door, trail } = open({ tape: [call(0, 'mail.send', mail, 'once', { ok: true, value: 'sent' })] });
    expect(await door.call('mail.send', { ...mail, subject: 't' }, signal)).toEqual({
      type: 'suspend',
      reason: 'diverged',
    });
    expect(door.diverged()).toMatchObject({ index: 0, expected: { op: 'mail.send' }, actual: { op: 'mail.send' } });
    expect(trail).toEqual([]);
  });

  test('a once call that was begun is never begun again', async () => {
    const { door, trail } = open({ tape: [call(0, 'mail.send', mail, 'once')] });
    expect(await door.call('mail.send', mail, signal)).toEqual({ type: 'suspend', reason: 'unknown_outcome' });
    expect(trail).toEqual([]);
  });

  test('an idempotent call that was begun is made again, and said again: what was lost has a price', async () => {
    const { door, trail } = open({ tape: [call(0, 'model.complete', {}, 'idempotent')] });
    expect(await door.call('model.complete', {}, signal)).toMatchObject({ type: 'value' });
    expect(trail).toEqual(['intent model.complete', 'perform model.complete', 'result model.complete']);
  });

  test('a retried node is answered from its earlier attempt; equal calls count', async () => {
    const first = open();
    await first.door.call('mail.send', mail, signal);
    const { door, trail } = open({ earlier: first.records });
    await door.call('kb.search', { text: 'now something else comes first' }, signal);
    expect(await door.call('mail.send', mail, signal)).toEqual({ type: 'value', value: { did: 'mail.send' } });
    expect(trail.filter((line) => line.endsWith('mail.send'))).toEqual(['note mail.send']);
    await door.call('mail.send', mail, signal);
    expect(trail.filter((line) => line === 'perform mail.send')).toHaveLength(1);
  });

  test('replay performs nothing, and its end is a divergence', async () => {
    const { door, trail } = open({
      mode: 'replay',
      caps: noCaps,
      tape: [
        call(0, 'model.complete', { a: 1 }, 'idempotent', {
          ok: false,
          code: 'ProviderUnavailable',
          message: 'none',
          retryable: true,
        }),
      ],
    });
    expect(await door.call('model.complete', { a: 1 }, signal)).toMatchObject({
      type: 'error',
      code: 'ProviderUnavailable',
    });
    expect(await door.call('kb.search', {}, signal)).toEqual({ type: 'suspend', reason: 'diverged' });
    expect(door.diverged()).toEqual({ index: 1, actual: { op: 'kb.search', args_hash: digestJson({}), args: {} } });
    expect(trail).toEqual([]);
  });
});

describe('approvals', () => {
  test.each(['fs.write', 'fs.mkdir', 'fs.remove', 'fs.rename'])(
    '%s asks where something would execute it',
    async (op) => {
      const plain = open();
      await plain.door.call(op, granted[op] ?? {}, signal);
      expect(plain.trail).toEqual([`intent ${op}`, `perform ${op}`, `result ${op}`]);
      const latent = open({ latent: true });
      await latent.door.call(op, granted[op] ?? {}, signal);
      expect(latent.trail).toEqual([`ask ${op}`, `intent ${op}`, `perform ${op} with approval`, `result ${op}`]);
    },
  );
  test('pending suspends before anything is begun', async () => {
    const { door, trail } = open({ decision: 'pending' });
    expect(await door.call('mail.send', granted['mail.send'] ?? {}, signal)).toEqual({
      type: 'suspend',
      reason: 'approval',
    });
    expect(trail).toEqual(['ask mail.send']);
  });
  test('what the arguments refer to is shown, and is the same when it is performed, or nothing is', async () => {
    const call = (referents: { x: string }[]): Promise<[unknown, string[]]> => {
      const { door, trail } = open({ referents });
      return door.call('exec.run', granted['exec.run'] ?? {}, signal).then((answer) => [answer, trail]);
    };
    expect(await call([{ x: '1' }, { x: '1' }])).toMatchObject([
      { type: 'value' },
      ['ask exec.run with 1', 'intent exec.run', 'perform exec.run', 'result exec.run'],
    ]);
    expect(await call([{ x: '1' }, { x: '2' }])).toMatchObject([
      { type: 'error', code: 'Conflict', message: expect.stringMatching(/changed after it was approved/) },
      ['ask exec.run with 1', 'note exec.run'],
    ]);
  });
  test('what a call needs besides its own grant is missed before anybody is asked', async () => {
    const { door, trail } = open({ missing: { allowed: false, target: 'a', grant: 'net = ["a"]' } });
    expect(await door.call('tools.call', { tool: 'weather' }, signal)).toMatchObject({
      code: 'CapabilityDenied',
      message: expect.stringContaining('missing grant: net = ["a"]'),
    });
    expect(trail).toEqual(['audit tools a', 'note tools.call']);
  });
  test.each([
    [
      'is asked about anew, then performed',
      'mail.send',
      { to: ['b@example.com'] },
      ['ask mail.send', 'ask mail.send', 'intent mail.send', 'edited', 'perform mail.send', 'result mail.send'],
    ],
    [
      'passes the grants like any other',
      'mail.send',
      { to: ['b@evil.test'] },
      ['ask mail.send', 'audit mail b@evil.test', 'note mail.send'],
    ],
    [
      'is not performed as another kind of call',
      'http.fetch',
      { url: 'https://api.example.com/x', method: 'GET' },
      ['ask http.fetch', 'note http.fetch'],
    ],
  ] as const)('A8: what was edited %s', async (_, op, edited, expected) => {
    const { door, trail, records } = open({ edited: edited as JsonValue });
    await door.call(op, granted[op] ?? {}, signal);
    expect(trail).toEqual(expected);
    // The record stands under what the agent asked for, so that the same question finds it again.
    expect(records).toMatchObject([{ args_hash: digestJson(granted[op]), performed: { args: edited } }]);
  });
  test('denied is an answer', async () => {
    const { door, trail } = open({ decision: 'denied' });
    expect(await door.call('mail.send', granted['mail.send'] ?? {}, signal)).toMatchObject({
      type: 'error',
      code: 'ApprovalDenied',
    });
    expect(trail).toEqual(['ask mail.send', 'note mail.send']);
  });
});
