/**
 * The one door of the ledger and its knowledge base.
 *
 * One ledger is the only truth; everything that is read (runs, bills, contacts, approvals, hits) is a projection of it.
 */
export { type Kb, type KbDeps, type KbOptions, type Proposal, type Asked, openKb } from './kb.ts';
export { type EventDraft, type BlobDraft, type AppendedEvent, type StoredEvent } from './ledger/event.ts';
export { type StateDelta } from './kinds/propose.ts';
export {
  type Row,
  type RunEventsQuery,
  type RunsQuery,
  type ArtifactsQuery,
  type ApprovalsQuery,
  type TaintQuery,
  type CostsBy,
  type CostsQuery,
  type CostRow,
  type Costs,
  costsBy,
  type RunWithNodes,
} from './views/reads.ts';
export { type SearchHit, type SearchMode, type SearchQuery, searchModes } from './search/search.ts';
export { type SearchFound, type Vectors } from './search/kb-search.ts';
export { type Embedder } from './search/embedder.ts';
export { hashNgramId } from './search/hash-ngram.ts';
export { type KbStats, type Rebuilt } from './upkeep.ts';
export { type Backup } from './backup/backup.ts';
export { type ProgressShown } from './progress.ts';
export { type Restored, reopened, restoreKb } from './backup/restore-kb.ts';
export { type Forgotten } from './forget/forget.ts';
export { needles } from './forget/needles.ts';
export { type ForgetPlan } from './forget/plan.ts';
export { type MailboxMessage, type MailboxQuery, type MailboxState } from './views/read-mailbox.ts';
export { type QueryRows } from './views/query.ts';
export { type Verified, type VerifyOptions } from './ledger/verify.ts';
export { type SignedHead, type Signer, parseHead } from './ledger/heads.ts';
export { type ViewHashes } from './views/views.ts';
export { type Why, type WhyStep, type Blame } from './views/why.ts';
export { ledgerBlobBytesMax } from './limits.ts';
export { copyLedger } from './ledger/copy-ledger.ts';
export { redactText } from './views/redact.ts';
export { kindSchemas, type KindSchema } from './kinds/schemas.ts';
export { type ChangedEvent, type TapeReader, openTapeReader } from './ledger/tape-reader.ts';
export { type Contradiction } from './views/project-claims.ts';
export { type EntityKind, type FindQuery } from './views/find.ts';
