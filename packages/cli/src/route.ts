/** The fast path of `rlp route`, under the name that main.ts asks for. */
export { route } from './route-main.ts';
