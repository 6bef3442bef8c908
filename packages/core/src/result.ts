/**
 * A value that either succeeded or failed in an expected way.
 *
 * Expected failures are returned, defects are thrown (STYLE.md, "Failure").
 */
export type Result<T, E> = Ok<T> | Err<E>;
export type Ok<T> = { readonly ok: true; readonly value: T };
export type Err<E> = { readonly ok: false; readonly error: E };

export function ok<T>(value: T): Ok<T> {
  return { ok: true, value };
}

export function err<E>(error: E): Err<E> {
  return { ok: false, error };
}

/** The value of a success; a failure becomes a thrown defect that names what was assumed. */
export function unwrap<T, E>(result: Result<T, E>, assumption: string): T {
  if (result.ok) return result.value;
  throw new Error(`assumed ${assumption}, but: ${JSON.stringify(result.error)}`);
}
