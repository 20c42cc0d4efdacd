import { z } from 'zod';

const instant = z.iso.datetime({ offset: true });
const optional = z.string().nullable();
const id = z.string().min(1);

/** Of a line of the format `native`. What a later version adds stands beside it. */
const line = z.looseObject({
  position: z.int().min(1).describe('Where the event stands in the feed: gapless, in commit order.'),
  feed_id: z.uuid().describe('Names the numbering of positions: another database has another.'),
  source_kind: z.enum(['organization', 'account']).describe('Whose audit log the entry is from.'),
  source_id: id.describe('The id of that organization or account.'),
  organization_id: optional.describe('When the event was stored; null for an account that belonged to none.'),
  organization_name: optional,
  id: id.describe("Cloudflare's id of the entry, or sha256:… of its text if it has none that can be used."),
  action_time: instant.nullable().describe('When it was done; null if the entry does not say.'),
  received_at: instant.describe('When the event was stored.'),
  defects: z.array(z.string()).nullable().describe('What of the entry cannot be used; null if nothing.'),
  account_id: optional.optional().describe('This and the next three: of the log of an account only.'),
  account_name: optional.optional(),
  zone_id: optional.optional(),
  zone_name: optional.optional(),
  raw_text: z.string().optional().describe('The exact text of an entry that has line breaks, which `raw` lacks.'),
  raw: z.unknown().describe('The entry as Cloudflare sent it, to the byte.'),
});

/** JSON Schema (2020-12), for consumers that check lines or generate code. */
export const nativeSchema = (): string => {
  const { $schema, ...schema } = z.toJSONSchema(line, {
    // The format says it.
    override: ({ jsonSchema }) => {
      if (jsonSchema.format !== undefined) delete jsonSchema.pattern;
    },
  });
  return `${JSON.stringify({ $schema, title: 'A line of the format native of orgtrail', ...schema }, null, 2)}\n`;
};
