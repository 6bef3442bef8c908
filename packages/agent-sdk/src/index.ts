/**
 * The guest side: the WIT world, types and polyfills for agent authors.
 */
export {};
