/**
 * What is known, from entering it to forgetting it: why to the root, as of, import and export, backups, heads; by rlp.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { Home } from './home.ts';

const john = { name: 'John Appleseed', email: 'john.appleseed@acme.example', notes: 'Prefers short letters, always.' };
const personal = [...Object.values(john), 'johnny.old@acme.example'];
const compose = ['examples/openings/compose_email.yaml', '--params', '{"recipient":"john","topic":"Q4 plan"}'];

async function enter(home: Home, members: Record<string, string>): Promise<void> {
  const payload = { contact: 'contact:john', confidence: 1, trust: 'trusted', ...members };
  const said = await home.rlp('kb', 'propose', '--kind', 'contact.upserted', '--payload', JSON.stringify(payload));
  expect(said.code).toBe(0);
}

/** What `grep -a` finds: files below the state directory with one of the texts. */
function holding(dir: string, texts: readonly string[]): string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => texts.some((text) => readFileSync(path).includes(text)));
}

type Why = {
  readonly steps: readonly {
    readonly id: number;
    readonly kind: string;
    readonly actor: string;
    readonly depth: number;
  }[];
  readonly values: { readonly [field: string]: { readonly value: unknown; readonly event: number } };
};

test(
  'the address in a letter leads back to who entered it; forgotten, no byte of it stays and the chain holds',
  { timeout: 180_000 },
  async () => {
    await using home = new Home();
    await enter(home, { ...john, email: 'johnny.old@acme.example' });
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const before = new Date().toISOString();
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await enter(home, { email: john.email });
    const run = await home.run(compose, home.approve);
    expect(run.code).toBe(0);
    const trace = run.events[0]?.trace_id ?? '';

    const drafted = await home.json<{ rows: [number][] }>(
      'kb',
      'query',
      `SELECT max(event_id) FROM entity_history WHERE entity = 'contact:john'`,
    );
    const entered = drafted.rows[0]?.[0] ?? 0;
    const artifact = run.events.find((event) => event.kind === 'artifact.created')?.meta['digest'];
    const letter = await home.json<Why>('kb', 'why', `artifact:${String(artifact)}`);
    // From the letter by its node and its inputs to the event with which the operator entered the address.
    expect(letter.steps.find(({ id }) => id === entered)).toMatchObject({
      kind: 'contact.upserted',
      actor: 'operator',
    });
    expect(letter.steps.find(({ id }) => id === entered)?.depth).toBeGreaterThan(0);
    const ledger = new Database(join(home.path, 'pog', 'events.sqlite'), { readonly: true });
    const mail = ledger.prepare(`SELECT id FROM events WHERE kind = 'email.drafted'`).pluck().get() as number;
    ledger.close();
    const sent = await home.json<Why>('kb', 'why', `event:${mail}`);
    expect(sent.steps.find(({ id }) => id === entered)).toMatchObject({ kind: 'contact.upserted', actor: 'operator' });
    const now = await home.json<Why>('kb', 'why', 'contact:john');
    const then = await home.json<Why>('kb', 'why', 'contact:john', '--as-of', before);
    expect([then.values['email']?.value, now.values['email']?.value]).toEqual(['johnny.old@acme.example', john.email]);
    expect(await home.rlp('kb', 'why', 'contact:john', '--as-of', 'yesterdayish')).toMatchObject({ code: 2 });

    // A fork of it, that waits for a yes, has read him too: it stands in the way until it has ended.
    const fork = (await home.rlp('fork', trace, '--at', 'review', '--detach')).out.split('\n')[0] ?? '';
    while ((await home.json<unknown[]>('approve', 'list')).length === 0);
    expect(await home.rlp('kb', 'forget', 'contact:john', '--yes')).toMatchObject({
      code: 75,
      err: expect.stringContaining(fork),
    });
    expect((await home.rlp('cancel', fork)).code).toBe(0);
    expect((await home.rlp('attach', fork)).code).not.toBe(0);

    expect(holding(home.path, personal)).not.toEqual([]);
    expect(await home.rlp('kb', 'forget', 'contact:john')).toMatchObject({ code: 75 });
    const plan = await home.rlp('kb', 'forget', 'contact:john', '--dry-run');
    for (const one of [trace, fork]) expect(plan.out).toContain(one);
    expect(holding(home.path, personal)).not.toEqual([]);
    const done = await home.rlp('kb', 'forget', 'contact:john', '--yes');
    expect(done).toMatchObject({ code: 0 });
    expect(holding(home.path, personal)).toEqual([]);
    expect(await home.rlp('kb', 'verify')).toMatchObject({ code: 0 });
    expect((await home.rlp('kb', 'search', 'appleseed')).err).toContain('nothing found');
    expect((await home.rlp('runs')).out).toContain(trace.slice(0, 8));
    expect((await home.rlp('show', trace)).code).toBe(0);
    expect((await home.rlp('trace', trace)).code).toBe(0);
    expect(await home.rlp('replay', trace)).toMatchObject({ code: 66, err: expect.stringContaining('forgotten') });
    expect(await home.rlp('replay', fork)).toMatchObject({ code: 66, err: expect.stringContaining('forgotten') });
    expect(await home.rlp('fork', fork, '--at', 'review')).toMatchObject({
      code: 66,
      err: expect.stringContaining('forgotten'),
    });
    expect((await home.rlp('replay', '--all')).out).toContain('forgotten');
    expect((await home.json<{ equal: boolean }>('kb', 'rebuild')).equal).toBe(true);
    await home.rlp('daemon', 'stop');
    expect(holding(home.path, personal)).toEqual([]);
  },
);

test(
  'a backup is restored where no daemon runs; a run that it knows as unfinished is ended, not repeated',
  { timeout: 180_000 },
  async () => {
    await using home = new Home();
    await enter(home, john);
    const started = await home.rlp('run', ...compose, '--detach');
    const trace = started.out.split('\n')[0] ?? '';
    let actions: readonly { action: string; hash: string }[] = [];
    while (actions.length === 0) actions = await home.json<{ action: string; hash: string }[]>('approve', 'list');
    const backup = (await home.rlp('kb', 'backup')).out.trim();
    expect(backup).toContain(join(home.path, 'backups'));
    const head = join(home.path, 'head.json');
    writeFileSync(head, (await home.rlp('kb', 'seal')).out);
    expect((await home.rlp('approve', 'yes', actions[0]?.action ?? '')).code).toBe(0);
    expect((await home.rlp('attach', trace)).code).toBe(0);
    expect(await home.rlp('kb', 'verify', '--head', `@${head}`)).toMatchObject({ code: 0 });
    expect(await home.rlp('kb', 'restore', backup)).toMatchObject({
      code: 75,
      err: expect.stringContaining('daemon stop'),
    });
    await home.rlp('daemon', 'stop');
    expect(await home.rlp('kb', 'restore', join(home.path, 'nothing'))).toMatchObject({ code: 66 });
    expect(await home.rlp('kb', 'restore', backup)).toMatchObject({ code: 0 });
    expect(await home.rlp('kb', 'verify', '--head', `@${head}`)).toMatchObject({
      code: 69,
      err: expect.stringContaining('signed head'),
    });
    expect(await home.json('show', trace)).toMatchObject({ state: 'cancelled' });
    expect(await home.json('approve', 'list')).toEqual([]);
    await home.rlp('daemon', 'stop');
    expect(await home.rlp('kb', 'migrate')).toMatchObject({ code: 0, out: expect.stringContaining('up to date') });
  },
);

test(
  'contacts, tables and notes come in once, with what was refused; what goes out comes in elsewhere',
  { timeout: 180_000 },
  async () => {
    await using home = new Home();
    const files = mkdtempSync(join(tmpdir(), 'import-'));
    const card = (...lines: string[]): string => ['BEGIN:VCARD', 'VERSION:3.0', ...lines, 'END:VCARD', ''].join('\r\n');
    writeFileSync(
      join(files, 'people.vcf'),
      card(
        'FN:Zoë Quast',
        'item1.EMAIL;TYPE=work:zoe@quast.example',
        'ORG:Quast AG;Sales',
        'NOTE:met in Wien\\, 2024',
      ) +
        card('N:Doe;Jane;;;', 'TEL;VALUE=uri:tel:+43-1-2345') +
        card('TITLE:nobody'),
    );
    writeFileSync(
      join(files, 'people.csv'),
      '\ufeffName;E-Mail;Company;Floor\nAnn Lee;ann@lee.example;Lee Ltd;3\n;;;\n"A; B";no address;;\n',
    );
    mkdirSync(join(files, 'notes', 'deep'), { recursive: true });
    writeFileSync(
      join(files, 'notes', 'deep', 'a.md'),
      '---\nentity: contact:ann\ndate: 2026-03-01\n---\n# Lunch\nwith Ann\n',
    );
    writeFileSync(
      join(files, 'notes', 'long.md'),
      Array.from({ length: 1_000 }, (_, i) => `line ${i} of a long note\n`).join(''),
    );
    writeFileSync(join(files, 'notes', 'empty.md'), '');
    const told = async (path: string): Promise<unknown> => {
      const { out } = await home.rlp('kb', 'import', join(files, path), '--json');
      const { written, existing, refused } = JSON.parse(out) as {
        written: number;
        existing: number;
        refused: { place: string }[];
      };
      return [written, existing, ...refused.map(({ place }) => place)];
    };
    expect(await told('people.vcf')).toEqual([2, 0, 'card 3']);
    expect(await told('people.vcf')).toEqual([0, 2, 'card 3']);
    expect(await told('people.csv')).toEqual([1, 0, 'row 2', 'row 3']);
    expect(await told('notes')).toEqual([3, 0, 'empty.md']);
    expect((await home.rlp('kb', 'import', join(files, 'nothing.vcf'))).code).toBe(66);
    expect((await home.rlp('kb', 'import', join(files, 'people.csv'))).code).toBe(1);
    const rows = await home.json<{ rows: unknown[][] }>(
      'kb',
      'query',
      'SELECT name, email, org, notes FROM contacts ORDER BY name',
    );
    expect(rows.rows).toEqual([
      ['Ann Lee', 'ann@lee.example', 'Lee Ltd', null],
      ['Doe Jane', null, null, null],
      ['Zoë Quast', 'zoe@quast.example', 'Quast AG Sales', 'met in Wien, 2024'],
    ]);
    const notes = await home.json<{ rows: unknown[][] }>(
      'kb',
      'query',
      `SELECT entity, ts_ms FROM notes WHERE text LIKE '%Lunch%'`,
    );
    expect(notes.rows).toEqual([['contact:ann', Date.parse('2026-03-01')]]);

    const out = join(files, 'all.ndjson');
    expect((await home.rlp('kb', 'export', '--out', out)).code).toBe(0);
    expect((await home.rlp('kb', 'export', '--out', out)).code).not.toBe(0);
    await using other = new Home();
    expect(await other.rlp('kb', 'import', out)).toMatchObject({ code: 0, out: expect.stringContaining('6 written') });
    const there = await other.json<typeof rows>(
      'kb',
      'query',
      'SELECT name, email, org, notes FROM contacts ORDER BY name',
    );
    expect(there.rows).toEqual(rows.rows);
    rmSync(files, { recursive: true });
  },
);
