/**
 * Decides whether a line belongs to the shell or to the agents. Pure.
 */
export { type Decision, type Features, type RouteInput, type RouterConfig, route, routerDefaults } from './route.ts';
export { lineCharsMax, wordsJudgedMax, commandsMax, nestingMax, prefixesMax } from './limits.ts';
