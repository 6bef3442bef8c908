/**
 * Limits of the router: what grows with a line, and where it ends.
 */

/** Characters of a line that are read; a longer one is the shell's, which has its own limits. */
export const lineCharsMax: number = 64 * 1024;

/** Words of a line that are judged; the first ones tell. */
export const wordsJudgedMax: number = 512;

/** Commands of one line (in pipes, lists, bodies) that are looked up. */
export const commandsMax: number = 64;

/** How deep brackets may nest within one word before the rest is taken as one piece. */
export const nestingMax: number = 256;

/** How often an alias or a prefix such as `sudo` may lead to the next word. */
export const prefixesMax: number = 16;
