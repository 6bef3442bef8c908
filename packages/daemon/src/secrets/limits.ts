/**
 * Bounds of the secrets.
 */

/** Shorter values could not be told from ordinary text when they are scrubbed. */
export const secretCharsMin = 8;
export const secretCharsMax = 16_384;
/** Secrets that one store holds. */
export const secretsMax = 1_024;
/** Values that are scrubbed at once; of those given out earlier, the oldest leave. */
export const scrubbedMax = 4_096;
export const passphraseCharsMin = 8;
/** How long `rlp doctor` waits for a keyring that may be asking its owner something. */
export const keyringMsMax = 2_000;
