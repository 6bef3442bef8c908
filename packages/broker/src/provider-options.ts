/**
 * What a request may say to one kind of provider alone: `provider_options: { <kind>: { <option>: … } }`.
 *
 * An allow-list: nothing here makes a provider keep, share, browse or charge more than a plain call would. Options of another
 * kind than the one that serves the request are passed over, so that a route with fallbacks can carry options for each.
 */
import { isJsonObject, type JsonObject } from '@runloop/core';

export const optionsAllowed: { readonly [kind: string]: readonly string[] } = {
  http: [
    'frequency_penalty',
    'presence_penalty',
    'reasoning_effort',
    'verbosity',
    'parallel_tool_calls',
    'top_k',
    'min_p',
  ],
  http_anthropic: ['top_k'],
  http_gemini: ['topK', 'thinkingConfig'],
  ollama: ['think', 'keep_alive', 'num_ctx', 'top_k', 'min_p', 'repeat_penalty'],
  echo: [],
  record: [],
};

/** What is wrong with them; undefined where nothing is. */
export function optionsProblem(options: JsonObject | undefined): string | undefined {
  for (const [kind, given] of Object.entries(options ?? {})) {
    const allowed = Object.hasOwn(optionsAllowed, kind) ? optionsAllowed[kind] : undefined;
    if (allowed === undefined)
      return `provider_options: there is no kind "${kind}"; there are ${Object.keys(optionsAllowed).join(', ')}`;
    if (!isJsonObject(given)) return `provider_options.${kind} is not a map`;
    const other = Object.keys(given).find((name) => !allowed.includes(name));
    if (other !== undefined)
      return `provider_options.${kind}.${other} is not allowed; allowed are: ${allowed.join(', ') || 'none'}`;
  }
  return undefined;
}

/** Those for a provider of this kind. */
export function optionsFor(kind: string, options: JsonObject | undefined): JsonObject | undefined {
  const given = options !== undefined && Object.hasOwn(options, kind) ? options[kind] : undefined;
  return isJsonObject(given) ? given : undefined;
}
