/**
 * The keys of the language: what parse.ts knows and schema.ts describes.
 */
export const rootKeys = [
  'version',
  'name',
  'goals',
  'params',
  'policy',
  'nodes',
  'edges',
  'success',
  'artifacts',
] as const;
export const nodeKeys = [
  'id',
  'use',
  'with',
  'retry',
  'timeout_ms',
  'budget_tokens',
  'require_human_confirm',
  'caps',
  'tags',
] as const;
export const policyKeys = [
  'budget_tokens',
  'budget_usd',
  'timeout_ms',
  'confirm_external',
  'max_parallel',
  'allow_flow',
] as const;
export const retryKeys = ['max_attempts', 'backoff_ms', 'max_ms', 'multiplier', 'jitter'] as const;
export const edgeKeys = ['from', 'to'] as const;
export const successKeys = ['any_of', 'all_of'] as const;
export const artifactKeys = ['save'] as const;
