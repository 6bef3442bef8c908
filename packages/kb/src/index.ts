/**
 * The one door of the ledger and its knowledge base.
 *
 * One ledger is the only truth; everything that is read (runs, bills, contacts, approvals, hits) is a projection of it.
 */
export { type Kb, type KbDeps, type KbOptions, type Proposal, type Asked, openKb } from './kb.ts';
export { type EventDraft, type BlobDraft, type AppendedEvent, type StoredEvent } from './event.ts';
export { type StateDelta } from './propose.ts';
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
} from './reads.ts';
export { type SearchHit, type SearchMode, type SearchQuery, searchModes } from './search.ts';
export { type SearchFound, type Vectors } from './kb-search.ts';
export { type Embedder } from './embedder.ts';
export { hashNgramId } from './hash-ngram.ts';
export { type Backup, type KbStats, type Rebuilt } from './upkeep.ts';
export { type ProgressShown } from './progress.ts';
export { type Restored, reopened, restoreKb } from './backup/restore-kb.ts';
export { type Forgotten } from './forget/forget.ts';
export { needles } from './forget/needles.ts';
export { type ForgetPlan } from './forget/plan.ts';
export { type MailboxMessage, type MailboxQuery, type MailboxState } from './read-mailbox.ts';
export { type QueryRows } from './query.ts';
export { type Verified, type VerifyOptions } from './verify.ts';
export { type SignedHead, type Signer, parseHead } from './heads.ts';
export { type ViewHashes } from './views.ts';
export { type Why, type WhyStep, type Blame } from './why.ts';
export { ledgerBlobBytesMax } from './limits.ts';
export { copyLedger } from './copy-ledger.ts';
export { redactText } from './redact.ts';
export { kindSchemas, type KindSchema } from './schemas.ts';
export { type ChangedEvent, type TapeReader, openTapeReader } from './tape-reader.ts';
export { type Contradiction } from './project-claims.ts';
export { type EntityKind, type FindQuery } from './find.ts';
