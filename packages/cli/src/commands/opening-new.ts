/**
 * rlp opening new, rlp opening schema: a first opening, and what an editor needs to help with it.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { failure, isName } from '@runloop/core';
import { openingFiles, openingSchema } from '@runloop/openings';
import { type Arguments, type Command, flag, text, type Tools } from '../command.ts';

export const commands: readonly Command[] = [
  {
    usage: 'opening new <name>',
    about: 'write a small opening that runs as it is, into this folder',
    options: {
      brace: { type: 'boolean', about: 'in braces, as <name>.opening' },
      force: { type: 'boolean', about: 'also over a file that is there' },
    },
    examples: [['rlp opening new weekly_report', 'writes weekly_report.yaml']],
    run: (args, tools) => Promise.resolve(make(args, tools)),
  },
  {
    usage: 'opening schema',
    about: 'print the JSON Schema of the language, for editors and checks',
    examples: [
      ['rlp opening schema > opening.schema.json', 'then: # yaml-language-server: $schema=opening.schema.json'],
    ],
    run(_args, { screen }) {
      screen.line(JSON.stringify(openingSchema, undefined, 2));
      return Promise.resolve(0);
    },
  },
];

function make(args: Arguments, tools: Tools): number {
  const name = text(args, 'name') ?? '';
  if (!isName(name))
    return tools.fail(
      failure('Usage', `"${name.slice(0, 80)}" is no name for an opening`, {
        hint: 'small letters, digits and _, a letter first: weekly_report',
      }),
    );
  const files = openingFiles(name);
  const file = (flag(args, 'brace') ? files[1] : files[0]) ?? name;
  const path = resolve(tools.environment.cwd, file);
  if (existsSync(path) && !flag(args, 'force'))
    return tools.fail(
      failure('Conflict', `${file} exists already`, { hint: 'another name, or --force to replace it' }),
    );
  try {
    writeFileSync(path, flag(args, 'brace') ? inBraces(name) : inYaml(name));
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? String(error);
    return tools.fail(failure('Usage', `${path} cannot be written: ${why}`));
  }
  if (tools.json) tools.screen.json({ name, file: path });
  else tools.screen.line(`${file} is written; next: rlp plan ${file}, rlp run ${file}`);
  return 0;
}

export function inYaml(name: string): string {
  return `# What it does, and how to change it. Check it with: rlp lint ${name}.yaml
version: 0
name: ${name}
goals: ["greet somebody without giving the name away"]
# Parameters with their defaults: rlp run ${name}.yaml -p name=john
params: { name: world }
policy:
  timeout_ms: 60000 # running time of the whole run
  budget_tokens: 2000 # no model is called here: there is room for one
nodes:
  # Each node is an agent; what there are: rlp agent list
  - id: greet
    use: agent:greeter
    with: { name: "{{params.name}}" }
  - id: hide
    use: agent:redactor
    with: { names: ["{{params.name}}"] }
    timeout_ms: 10000
edges:
  # From an output port to an input port; with a predicate: { from: "review.ok == true", to: send.in }
  - { from: greet.out, to: hide.in }
success: { all_of: ["exists(hide.out)"] }
# What is kept: rlp artifacts list
artifacts: { save: [hide.out] }
`;
}

export function inBraces(name: string): string {
  return `# What it does, and how to change it. Check it with: rlp lint ${name}.opening
opening "${name}" {
  goals: ["greet somebody without giving the name away"]
  # Parameters with their defaults: rlp run ${name}.opening -p name=john
  params: { name: world }
  policy: {
    timeout_ms: 60000 # running time of the whole run
    budget_tokens: 2000 # no model is called here: there is room for one
  }
  # Each node is an agent; what there are: rlp agent list
  node greet {
    use: agent:greeter
    with: { name: "{{params.name}}" }
  }
  node hide {
    use: agent:redactor
    with: { names: ["{{params.name}}"] }
    timeout_ms: 10000
  }
  # From an output port to an input port; with a predicate: edge review.ok == true -> send.in
  edge greet.out -> hide.in
  success: { all_of: ["exists(hide.out)"] }
  # What is kept: rlp artifacts list
  artifacts: { save: [hide.out] }
}
`;
}
