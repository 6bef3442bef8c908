/**
 * JSON Schemas (2020-12) of the kinds that may be proposed, and the domain of `kb_write` that each belongs to.
 *
 * Members that a newer version adds are kept (A9): no schema forbids what it does not name.
 */
const shortText = { type: 'string', minLength: 1, maxLength: 512 } as const;
const longText = { type: 'string', maxLength: 16_384 } as const;
const time = { type: 'integer', minimum: 0 } as const;
const share = { type: 'number', minimum: 0, maximum: 1 } as const;

type Schema = {
  readonly type: 'object';
  readonly required: readonly string[];
  readonly properties: { readonly [name: string]: object };
};
const object = (required: readonly string[], properties: Schema['properties']): Schema => ({
  type: 'object',
  required,
  properties,
});

const contactId = { type: 'string', pattern: '^contact:[^\\s]{1,200}$' } as const;
const fact = {
  subject: shortText,
  predicate: shortText,
  object: {},
  confidence: share,
  valid_from: time,
  valid_to: time,
};
const edge = { subject: shortText, relation: shortText, object: shortText, valid_from: time, valid_to: time };

export type KindSchema = { readonly version: number; readonly domain: string; readonly schema: Schema };

export const kindSchemas: { readonly [kind: string]: KindSchema } = {
  'contact.upserted': {
    version: 1,
    domain: 'contacts',
    schema: object(['contact', 'confidence', 'trust'], {
      contact: contactId,
      name: shortText,
      email: { type: 'string', maxLength: 320, pattern: '^[^\\s@]+@[^\\s@]+$' },
      org: shortText,
      phone: shortText,
      notes: longText,
      confidence: share,
      trust: { enum: ['trusted', 'low'] },
    }),
  },
  'contact.removed': {
    version: 1,
    domain: 'contacts',
    schema: object(['contact'], { contact: contactId, reason: longText }),
  },
  'account.upserted': {
    version: 1,
    domain: 'accounts',
    schema: object(['account'], { account: shortText, name: shortText }),
  },
  'fact.asserted': { version: 1, domain: 'facts', schema: object(['subject', 'predicate', 'object'], fact) },
  'fact.retracted': { version: 1, domain: 'facts', schema: object(['subject', 'predicate'], fact) },
  'edge.asserted': { version: 1, domain: 'edges', schema: object(['subject', 'relation', 'object'], edge) },
  'edge.retracted': { version: 1, domain: 'edges', schema: object(['subject', 'relation', 'object'], edge) },
  'note.created': {
    version: 1,
    domain: 'notes',
    schema: object(['text'], { entity: shortText, text: { ...longText, minLength: 1 }, written_ms: time }),
  },
  'email.drafted': {
    version: 1,
    domain: 'email',
    schema: object(['to', 'subject'], {
      to: { type: 'array', items: shortText, maxItems: 100 },
      subject: longText,
      body: { type: 'string', pattern: '^[0-9a-f]{64}$' },
    }),
  },
};
