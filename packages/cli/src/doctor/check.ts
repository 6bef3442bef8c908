/** One row of `rlp doctor`. */
export type Check = {
  readonly name: string;
  readonly state: 'ok' | 'warning' | 'error';
  readonly says: string;
  readonly hint?: string;
};
