import { z } from 'zod';
import { OrgtrailError } from '../../errors.ts';
import { withIds } from '../../http/search/answer.ts';
import { faultsInWords } from '../../http/search/routes.ts';
import type { FoundEvent } from '../../search/found-event.ts';
import type { SearchSource } from '../../search/ports.ts';
import { fixTimes, instantOfBound, readSearch, type SearchField, type SearchReading } from '../../search/search.ts';
import { short } from './answer.ts';

const time = z.string().max(100);

/** What all questions about events have. */
export const question = {
  query: z
    .string()
    .max(2_000)
    .optional()
    .describe(
      'A query line: field:value terms that must all hold, a minus to exclude, commas between alternatives, * for any rest, quotes around values with spaces, such as "actor:mira* -action:view,login status:4xx". Fields: actor, email, ip, token, actor_id, actor_type, context, action, result, product, resource_type, resource, organization, account, zone, ray, method, status, uri, agent, id, text. A word without a field is looked for in the text of entries.',
    ),
  since: time
    .optional()
    .describe('Inclusive: 24h, 7d, 2026-01-31 or an RFC 3339 instant. Default 7d; 2000-01-01 for all.'),
  before: time.optional().describe('Exclusive, in the same forms. Default: now.'),
};

type Asked = Partial<Record<SearchField, string | undefined>>;

/** A search as a client asks it, with ids for names and with fixed times. `since` holds if the query line has none. Throws OrgtrailError. */
export const readQuestion = async (source: SearchSource, asked: Asked, since: string): Promise<SearchReading> => {
  const nowMs = Date.now();
  const given = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
  const first = readSearch(given, nowMs);
  const read =
    first.search.since === undefined && first.faults.length === 0 ? readSearch({ ...given, since }, nowMs) : first;
  const reading = await withIds(source, read);
  if (reading.faults.length > 0) throw new OrgtrailError('usage', faultsInWords(reading.faults));
  return { ...reading, search: fixTimes(reading.search, nowMs) };
};

/** The time of a question, for the answer to say. */
export const timeOfQuestion = ({ search: { since, before } }: SearchReading) => ({
  since: since === undefined ? null : instantOfBound(since, Date.now()),
  before: before === undefined ? null : instantOfBound(before, Date.now()),
});

/** The columns of an event, its texts cut. */
export const eventBody = (event: FoundEvent) => ({
  position: event.position,
  action_time: event.actionTime,
  received_at: event.receivedAt,
  organization: short(event.organizationName ?? event.organizationId),
  organization_id: short(event.organizationId),
  account: short(event.accountName ?? event.accountId),
  zone: short(event.zoneName ?? event.zoneId),
  action: short(event.actionType),
  result: short(event.actionResult),
  description: short(event.actionDescription),
  actor_email: short(event.actorEmail),
  actor_id: short(event.actorId),
  actor_type: short(event.actorType),
  actor_context: short(event.actorContext),
  actor_ip: short(event.actorIpAddress),
  actor_token: short(event.actorTokenName ?? event.actorTokenId),
  resource_product: short(event.resourceProduct),
  resource_type: short(event.resourceType),
  resource_id: short(event.resourceId),
  method: short(event.method),
  status: event.statusCode,
  uri: short(event.uri),
  user_agent: short(event.userAgent),
  ray_id: short(event.rayId),
  id: short(event.id),
  defects: event.defects,
  changed_later: event.changed,
});
