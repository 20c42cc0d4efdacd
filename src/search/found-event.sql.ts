import { getTableColumns } from 'drizzle-orm';
import { selectList } from '../postgres/db.ts';
import { auditEvents } from '../postgres/tables/events.ts';
import { type FoundEvent, rfc3339Of } from './found-event.ts';

export type FoundRow = Omit<FoundEvent, 'actionTime' | 'receivedAt'> & { readonly receivedText: string };

const {
  raw: _raw,
  actionTime: _actionTime,
  receivedAt: _receivedAt,
  rawCfRayId: rayId,
  rawMethod: method,
  rawStatusCode: statusCode,
  rawUri: uri,
  rawUserAgent: userAgent,
  ...columns
} = getTableColumns(auditEvents);

/** What is selected of `audit_events e` and `organizations o` for a `FoundEvent`. Times are text in the zone of the transaction: UTC. */
export const foundColumns = `
  ${selectList('e', { ...columns, rayId, method, statusCode, uri, userAgent })}, o.name as "organizationName",
  case when e.account_name is null then (select a.name from accounts a where a.id = e.account_id) end as "listedAccountName",
  e.action_time::text as "sortTime", e.received_at::text as "receivedText", octet_length(e.raw::text) as "rawBytes",
  exists (select from audit_event_changes c where c.source_kind = e.source_kind and c.source_id = e.source_id
    and c.event_id = e.id) as changed`;

export const toFoundEvent = ({ receivedText, ...row }: FoundRow): FoundEvent => ({
  ...row,
  actionTime: rfc3339Of(row.sortTime),
  receivedAt: rfc3339Of(receivedText) ?? receivedText,
});
