import type { FeedEvent } from '../../formats/feed-event.ts';
import type { QueryValue } from '../parquet/query-values.ts';

const columns = [
  'position',
  'feed_id',
  'source_kind',
  'source_id',
  'organization_id',
  'account_id',
  'account_name',
  'zone_id',
  'zone_name',
  'id',
  'action_time',
  'received_at',
  'raw',
  'defects',
] as const;

const text = (value: QueryValue | undefined): string => String(value);
const textOrNull = (value: QueryValue | undefined): string | null =>
  value === null || value === undefined ? null : String(value);

/** A row as the formats take it: what the feed gives of the same event. */
const eventOf = (row: readonly QueryValue[], organizationNames: ReadonlyMap<string, string | null>): FeedEvent => {
  const [position, feedId, sourceKind, sourceId, organization, accountId, accountName, zoneId, zoneName, ...more] = row;
  const [id, actionTime, receivedAt, raw, defects] = more;
  const organizationId = textOrNull(organization);
  return {
    position: Number(position),
    feedId: text(feedId),
    sourceKind: text(sourceKind),
    sourceId: text(sourceId),
    organizationId,
    organizationName: organizationId === null ? null : (organizationNames.get(organizationId) ?? null),
    accountId: textOrNull(accountId),
    accountName: textOrNull(accountName),
    zoneId: textOrNull(zoneId),
    zoneName: textOrNull(zoneName),
    id: text(id),
    actionTime: textOrNull(actionTime),
    receivedAt: text(receivedAt),
    rawText: text(raw),
    defects: textOrNull(defects)?.split(',') ?? null,
  };
};

/** The events of a query over history in order of time, one after the other the same whichever part of them is archived. */
export const lakeEvents = {
  sql: `select ${columns.join(', ')} from audit_events order by coalesce(action_time, received_at), position`,
  eventOf,
};
