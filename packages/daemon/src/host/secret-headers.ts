/**
 * `{{secret:id}}` in the values of headers: filled in at the last moment, for one origin, and never recorded.
 */
import { type Failure, isJsonObject, type JsonObject, type JsonValue, ok, type Result } from '@runloop/core';
import { type Caps, judge, secretsIn, type SecretsPort, type Verdict } from '@runloop/runtime';

export async function fillHeaders(
  secrets: SecretsPort,
  request: JsonObject,
  origin: string,
): Promise<Result<JsonObject, Failure>> {
  if (namedIn(request).length === 0) return ok(request);
  const headers: { [name: string]: JsonValue } = {};
  for (const [name, template] of Object.entries(isJsonObject(request['headers']) ? request['headers'] : {})) {
    let value = template;
    for (const id of typeof template === 'string' ? secretsIn(template) : []) {
      const secret = await secrets.resolve(id, { type: 'http', origin, header: name });
      if (!secret.ok) return secret;
      value = String(value).replaceAll(`{{secret:${id}}}`, () => secret.value);
    }
    headers[name] = value;
  }
  return ok({ ...request, headers });
}

/** The first secret that a request names and these capabilities do not give. */
export function missingSecret(caps: Caps, request: JsonValue): Verdict | undefined {
  const verdicts = (isJsonObject(request) ? namedIn(request) : []).map((id) =>
    judge(caps, 'secrets', 'secrets.ref', { id }),
  );
  return verdicts.find(({ allowed }) => !allowed);
}

function namedIn({ headers }: JsonObject): string[] {
  return isJsonObject(headers)
    ? Object.values(headers).flatMap((value) => (typeof value === 'string' ? secretsIn(value) : []))
    : [];
}
