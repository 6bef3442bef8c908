/**
 * agreement.*: what the operator agrees to by digest. For operators alone, and on the ledger before it counts.
 */
import { type Clock, err, failure, type JsonObject, ok, type Result, type Failure } from '@runloop/core';
import type { Kb } from '@runloop/kb';
import type { Pin, PinKind, Pins } from '../home/pins.ts';
import type { Caller, Operations } from './operation.ts';

export type AgreementDeps = { readonly clock: Clock; readonly kb: Pick<Kb, 'append'>; readonly pins: Pins };

const kinds: { readonly [kind: string]: PinKind } = { opening: 'openings', declassifier: 'declassifiers' };

export function agreementOperations({ clock, kb, pins }: AgreementDeps): Operations {
  const tell = (caller: Caller, kind: string, payload: JsonObject): Promise<Result<unknown, Failure>> =>
    kb.append([{ ts_ms: clock.nowMs(), actor: caller.principal.id, kind, scope: 'operator', payload, provenance: {} }]);
  return {
    'agreement.give': (args, caller) => {
      const kind = args.text('kind');
      const pin: Pin = { digest: args.text('digest'), name: args.text('name').slice(0, 200), ts_ms: clock.nowMs() };
      return args.check(async () => {
        const known = kindOf(kind, caller);
        if (!known.ok) return known;
        const told = await tell(caller, `${kind}.trusted`, { digest: pin.digest, name: pin.name });
        if (!told.ok) return told;
        const added = pins.add(known.value, pin);
        return added.ok ? ok(pin) : added;
      });
    },
    'agreement.take': (args, caller) => {
      const kind = args.text('kind');
      const digest = args.text('digest');
      return args.check(async () => {
        const known = kindOf(kind, caller);
        if (!known.ok) return known;
        if (!pins.remove(known.value, digest))
          return err(failure('NotFound', `no ${kind} of the digest ${digest} was agreed to`));
        return tell(caller, `${kind}.distrusted`, { digest });
      });
    },
    'agreement.list': (args, caller) => {
      const kind = args.text('kind');
      return args.check(() => {
        const known = kindOf(kind, caller);
        return Promise.resolve(known.ok ? ok({ agreements: pins.list(known.value) }) : known);
      });
    },
  };
}

function kindOf(kind: string, { principal }: Caller): Result<PinKind, Failure> {
  if (principal.type !== 'operator') return err(failure('Forbidden', 'agreements are for the operator alone'));
  const known = Object.hasOwn(kinds, kind) ? kinds[kind] : undefined;
  return known === undefined ? err(failure('Usage', `"${kind}" is neither opening nor declassifier`)) : ok(known);
}
