/** What simulated runs of scripted agents need. */
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { resolveConfig, unwrap } from '../../packages/core/src/index.ts';
import type { Asked, TortureParts } from '../../packages/daemon/src/torture/index.ts';
import type { Generated } from './generate.ts';
import { scriptedAgents, scriptedCells } from './scripted.ts';

const { config } = unwrap(resolveConfig([]), 'the defaults');
/** In memory where there is such a place: nothing here has to outlive the machine. */
const scratch = join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), `runloop-torture-${process.pid}`);

export const parts = (seed: string): TortureParts => ({
  config,
  agents: scriptedAgents,
  cells: scriptedCells,
  homeDir: '/nonexistent',
  hidden: [],
  scratch,
  seed,
});

export const asked = ({ text, nested }: Generated, nth = 0): Asked => ({
  traceId: nth.toString(16).padStart(32, 'a'),
  file: 'generated.yaml',
  text,
  nested: new Map([...nested].map(([name, inner]) => [name, { file: `${name}.yaml`, text: inner }])),
  params: {},
  onConfirm: 'wait',
  priority: nth % 10,
  seed: '07'.repeat(32),
});
