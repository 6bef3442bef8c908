/** Where a tape is read from: the ledger of this state directory, or a file from elsewhere. */
import type { TapeReader } from '@runloop/kb';

export type TapeSource = Pick<TapeReader, 'runEvents' | 'getBlob' | 'firstChanged'>;
