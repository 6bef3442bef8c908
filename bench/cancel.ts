/**
 * From `run.cancel` to where it is felt: a slow server that sees its connection close, and a command that is gone. The order
 * is on the ledger first, so that the floor is one durable event.
 */
import { existsSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Config, ok, systemClock, systemRandom, unwrap } from '../packages/core/src/index.ts';
import { createModels, type Models } from '../packages/daemon/src/host/models.ts';
import { bundle, opening, Place, type Script } from '../packages/daemon/test/runs-fixture.ts';
import { type BenchRow, percentile } from './types.ts';

const rounds = 30;
const nothingKept = { resolve: () => Promise.resolve(ok('unused')), scrub: (text: string) => text };

/** Milliseconds from the order to `felt`, each time for a run of its own. */
async function measure(
  place: Place,
  script: Script,
  caps: typeof bundle.caps,
  begun: () => Promise<void>,
  felt: (id: string, until: (kind: string, id: string) => Promise<unknown>) => Promise<unknown>,
  models?: Models,
): Promise<number[]> {
  const own = models === undefined ? {} : { models };
  const boot = await place.boot(script, { caps, operator: { confirms: false }, ...own });
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const id = `${caps.net.length}${caps.model === false ? 0 : 1}${round}`.padStart(32, '0');
    const started = begun();
    await boot.submit({ traceId: id, text: opening() });
    await started;
    const over = felt(id, boot.until);
    const began = performance.now();
    const cancelled = boot.runs.get(id)?.driver.order({ type: 'cancel', by: 'bench', reason: 'bench' });
    await over;
    times.push(performance.now() - began);
    await cancelled;
    await boot.until('run.finished', id);
  }
  return times;
}

const row = (name: string, times: readonly number[]): BenchRow => ({
  name: `cancel to ${name}, p99 of ${rounds}`,
  value: percentile(times, 0.99),
  unit: 'ms',
  goal: '<= 50',
});

async function connections(place: Place): Promise<readonly BenchRow[]> {
  let reached = Promise.withResolvers<void>();
  let closed = Promise.withResolvers<void>();
  const server = createServer((_, response) => {
    response.on('close', () => closed.resolve());
    reached.resolve();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const site = `http://localhost:${(server.address() as AddressInfo).port}`;
  const times = await measure(
    place,
    async (call) => (await call('http.fetch', { url: site })).type,
    { ...bundle.caps, net: [site] },
    () => (reached = Promise.withResolvers<void>()).promise,
    () => (closed = Promise.withResolvers<void>()).promise,
  );
  const called = await modelCall(
    place,
    site,
    () => (reached = Promise.withResolvers<void>()).promise,
    () => (closed = Promise.withResolvers<void>()).promise,
  );
  server.close();
  return [row('a connection closed', times), row("a model call's connection closed at its provider", called)];
}

async function modelCall(
  place: Place,
  site: string,
  begun: () => Promise<void>,
  felt: () => Promise<void>,
): Promise<number[]> {
  const provider = { id: 'slow', kind: 'http', base_url: site };
  const config = { models: { default: 'slow:m', broker: { providers: [provider] } } } as unknown as Pick<
    Config,
    'models'
  >;
  const deps = { clock: systemClock, random: systemRandom, log: { log: () => undefined }, secrets: nothingKept };
  const models = unwrap(createModels(deps, config), 'models');
  const ask = { messages: [{ role: 'user', content: 'hi' }] };
  const times = await measure(
    place,
    async (call) => (await call('model.complete', ask)).type,
    { ...bundle.caps, model: { allow: ['*'] } },
    begun,
    felt,
    models,
  );
  await models.close();
  return times;
}

async function command(place: Place): Promise<BenchRow> {
  const times = await measure(
    place,
    async (call) => (await call('exec.run', { command: '/usr/bin/sleep', argv: ['60'] })).type,
    { ...bundle.caps, exec: [{ command: '/usr/bin/sleep', argv: ['{s}'] }] },
    // The sandbox is up by then.
    () => new Promise((resolve) => setTimeout(resolve, 300)),
    (id, until) => until('run.finished', id),
  );
  return row('a command gone and the run finished', times);
}

export async function rows(): Promise<readonly BenchRow[]> {
  await using place = await Place.open();
  return [...(await connections(place)), ...(existsSync('/usr/bin/bwrap') ? [await command(place)] : [])];
}
