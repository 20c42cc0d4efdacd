import { type FoundEvent, rfc3339Of } from './found-event.ts';

type Row = Omit<FoundEvent, 'actionTime' | 'receivedAt'> & { readonly receivedText: string };

/** What is selected of `audit_events e` and `organizations o` for a `FoundEvent`. Times are text in the zone of the transaction: UTC. */
export const foundColumns = `
  e.position::float8 as position, e.action_time::text as "sortTime", e.received_at::text as "receivedText",
  e.organization_id as "organizationId", o.name as "organizationName", e.source_kind as "sourceKind",
  e.source_id as "sourceId", e.id, e.action_type as "actionType", e.action_result as "actionResult",
  e.action_description as "actionDescription", e.actor_id as "actorId", e.actor_type as "actorType",
  e.actor_context as "actorContext", e.actor_email as "actorEmail", e.actor_ip_address as "actorIpAddress",
  e.actor_token_id as "actorTokenId", e.actor_token_name as "actorTokenName", e.resource_id as "resourceId",
  e.resource_product as "resourceProduct", e.resource_type as "resourceType", e.resource_scope as "resourceScope",
  e.raw_cf_ray_id as "rayId", e.raw_method as method, e.raw_status_code as "statusCode", e.raw_uri as uri,
  e.raw_user_agent as "userAgent", e.defects, octet_length(e.raw::text) as "rawBytes",
  exists (select from audit_event_changes c where c.source_kind = e.source_kind and c.source_id = e.source_id
    and c.event_id = e.id) as changed`;

export const toFoundEvent = ({ receivedText, ...row }: Row): FoundEvent => ({
  ...row,
  actionTime: rfc3339Of(row.sortTime),
  receivedAt: rfc3339Of(receivedText) ?? receivedText,
});

export type { Row as FoundRow };
