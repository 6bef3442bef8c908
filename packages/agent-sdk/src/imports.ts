/**
 * The world's imports as the component model gives them, and the `Host` that authors see over them.
 *
 * 1. Every call crosses as JSON text; a call-failure becomes a `HostError` with its code, message and retryability.
 * 2. No text crosses that ends in half a character: the component model has none, and would trap.
 */
import { type Host, HostError, type HostCall, type JsonObject, type JsonValue, type RunInfo } from './types.ts';

type Raw = (request: string) => string;

/** What the entry of a built agent imports, one member for each interface of the world. */
export type WorldImports = {
  readonly log: { readonly write: (level: string, text: string) => void };
  readonly run: { readonly info: () => string };
  readonly model: { readonly complete: Raw; readonly embed: Raw };
  readonly kb: { readonly query: Raw; readonly search: Raw; readonly why: Raw; readonly propose: Raw };
  readonly http: { readonly fetch: Raw };
  readonly exec: { readonly run: Raw };
  readonly tools: { readonly call: Raw };
  readonly secrets: { readonly ref: Raw };
  readonly mailbox: { readonly receive: Raw; readonly send: Raw };
  readonly mail: { readonly send: Raw };
  readonly fs: {
    readonly stat: Raw;
    readonly list: Raw;
    readonly read: Raw;
    readonly write: Raw;
    readonly mkdir: Raw;
    readonly remove: Raw;
    readonly rename: Raw;
  };
  readonly clock: { readonly now: Raw; readonly sleep: Raw };
};

/** With U+FFFD for each half of a character. Not every engine has a name for those, and none should pay for looking. */
export function wholeText(text: string): string {
  if (!/[\ud800-\udfff]/.test(text)) return text;
  return text.replace(/[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]/g, (found) =>
    found.length === 2 ? found : '\ufffd',
  );
}

export function hostOver(world: WorldImports): Host {
  const info = JSON.parse(world.run.info()) as RunInfo;
  return {
    log: (level, text) => world.log.write(wholeText(level), wholeText(text)),
    run: info,
    model: { complete: call(world.model.complete), embed: call(world.model.embed) },
    kb: {
      query: call(world.kb.query),
      search: call(world.kb.search),
      why: call(world.kb.why),
      propose: call(world.kb.propose),
    },
    http: { fetch: call(world.http.fetch) },
    exec: { run: call(world.exec.run) },
    tools: { call: call(world.tools.call) },
    secrets: { ref: call(world.secrets.ref) },
    mailbox: { receive: call(world.mailbox.receive), send: call(world.mailbox.send) },
    mail: { send: call(world.mail.send) },
    fs: filesOver(world.fs),
    clock: { now: call(world.clock.now), sleep: call(world.clock.sleep) },
  };
}

function filesOver(fs: WorldImports['fs']): Host['fs'] {
  const [stat, write] = [call(fs.stat), call(fs.write)];
  return {
    stat,
    list: call(fs.list),
    read: call(fs.read),
    write,
    mkdir: call(fs.mkdir),
    remove: call(fs.remove),
    rename: call(fs.rename),
    append: ({ path = '', data = '', encoding = 'utf8' }) => {
      // The size before is an argument of the call: the same call made again after a crash appends nothing twice.
      const { bytes: offset } = stat({ path }) as { readonly bytes: number };
      return write({ path, mode: 'append', offset, data, encoding });
    },
  };
}

function call(raw: Raw): HostCall {
  return (request: JsonObject): JsonValue => {
    let text: string;
    try {
      text = raw(JSON.stringify(request));
    } catch (error) {
      throw hostError(error);
    }
    return JSON.parse(text) as JsonValue;
  };
}

/** The binding wraps the record of a `result`'s error case in an Error with `payload`. */
function hostError(error: unknown): unknown {
  const payload = (error as { payload?: unknown } | null)?.payload;
  if (typeof payload !== 'object' || payload === null) return error;
  const { code, message, retryable } = payload as { code?: unknown; message?: unknown; retryable?: unknown };
  return new HostError(
    typeof code === 'string' ? code : 'Internal',
    typeof message === 'string' ? message : 'the call failed',
    retryable === true,
  );
}
