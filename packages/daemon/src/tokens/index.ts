/**
 * The operator's token and the narrower ones of clients.
 */
export {
  type ClientToken,
  type Tokens,
  type TokensDeps,
  clientTokensMax,
  openTokens,
  operatorTokenFile,
} from './tokens.ts';
