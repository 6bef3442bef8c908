/**
 * Runs on a simulated world, and what becomes of them when they are crashed wherever that can be done.
 */
export { type Asked, Stage, type StageParts } from './stage.ts';
export { type Crash, type Life, Schedule } from './schedule.ts';
export { type Played, playOnce, torture, type TortureFault, type TortureParts, type TortureReport } from './torture.ts';
export { type AtHomeOptions, tortureAtHome } from './at-home.ts';
export { type Ending, differenceOf } from './judge.ts';
