/**
 * rlp config: where settings come from. Needs no daemon.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { configKeys, type JsonValue, showJson } from '@runloop/core';
import { type Arguments, type Command, flag, text, type Tools } from '../command.ts';

export const commands: readonly Command[] = [
  {
    usage: 'config path',
    about: "print the path of the user's configuration file",
    examples: [['$EDITOR $(rlp config path)', '']],
    run: path,
  },
  {
    usage: 'config show [key]',
    about: 'print the effective configuration',
    options: { origin: { type: 'boolean', about: 'with the layer that each value comes from' } },
    examples: [
      ['rlp config show --origin', 'every key, its value, its layer'],
      ['rlp config show bus', 'one section'],
    ],
    run: show,
  },
  {
    usage: 'config validate',
    about: 'check the configuration',
    examples: [['rlp config validate', '0 when it is right, 65 when not']],
    run: validate,
  },
];

async function path(_args: Arguments, tools: Tools): Promise<number> {
  const file = join(tools.environment.root, 'config.yaml');
  if (tools.json) tools.screen.json({ path: file, exists: existsSync(file) });
  else tools.screen.line(file);
  return 0;
}

async function show(args: Arguments, tools: Tools): Promise<number> {
  const read = await tools.config();
  if (!read.ok) return tools.fail(read.error);
  const { config, origin } = read.value;
  const prefix = text(args, 'key') ?? '';
  const rows = configKeys.filter((row) => prefix === '' || row.key === prefix || row.key.startsWith(`${prefix}.`));
  if (rows.length === 0)
    return tools.fail({ code: 'NotFound', message: `there is no key ${prefix}`, hint: 'all keys: rlp config show' });
  const valueOf = (key: string): JsonValue =>
    key
      .split('.')
      .reduce<JsonValue>(
        (at, name) => (at as { [name: string]: JsonValue })[name] ?? null,
        config as unknown as JsonValue,
      );
  if (tools.json) {
    tools.screen.json(
      flag(args, 'origin')
        ? rows.map(({ key }) => ({ key, value: valueOf(key), origin: origin.get(key) }))
        : Object.fromEntries(rows.map(({ key }) => [key, valueOf(key)])),
    );
    return 0;
  }
  for (const { key, about } of rows) {
    const from = flag(args, 'origin') ? `  ${tools.screen.paint('dim', `(${origin.get(key) ?? ''})`)}` : '';
    tools.screen.line(`${key}: ${showJson(JSON.stringify(valueOf(key)))}${from}`);
    if (prefix !== '') tools.screen.line(tools.screen.paint('dim', `  ${about}`));
  }
  return 0;
}

async function validate(_args: Arguments, tools: Tools): Promise<number> {
  const read = await tools.config();
  if (!read.ok) return tools.fail(read.error);
  if (tools.json) tools.screen.json({ valid: true, warnings: read.value.warnings });
  else tools.screen.line('the configuration is valid');
  return 0;
}
