/** What the schema thread is asked and what it answers. */
import type { JsonObject, JsonValue } from '@runloop/core';

export type SchemaQuestion = { readonly schema: JsonObject; readonly value: JsonValue };
/** Undefined where the value is as the schema says. */
export type SchemaAnswer = { readonly fault: string | undefined };
