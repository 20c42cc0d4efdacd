import { boolean, integer, pgView, text } from 'drizzle-orm/pg-core';
import { instant, integer64 } from './column-types.ts';

const eventColumns = {
  position: integer64('position').notNull(),
  actionTime: instant('action_time').notNull(),
  receivedAt: instant('received_at').notNull(),
  organizationId: text('organization_id'),
  organizationName: text('organization_name'),
  actor: text('actor').notNull(),
  actorId: text('actor_id'),
  actorType: text('actor_type'),
  actorIpAddress: text('actor_ip_address'),
  actorTokenId: text('actor_token_id'),
  actionType: text('action_type'),
  actionResult: text('action_result'),
  actionDescription: text('action_description'),
  resourceType: text('resource_type'),
  resourceId: text('resource_id'),
  sourceKind: text('source_kind').notNull(),
  sourceId: text('source_id').notNull(),
  id: text('id').notNull(),
  summary: text('summary').notNull(),
};

const detection = (name: string) =>
  pgView(name, {
    ...eventColumns,
    detection: text('detection').notNull(),
    severity: text('severity').notNull(),
    events: integer('events').notNull(),
    firstTime: instant('first_time').notNull(),
  }).existing();

/** What detections ask of an event, as yes or no. */
export const auditEventTraits = pgView('audit_event_traits', {
  ...eventColumns,
  failed: boolean('failed').notNull(),
  done: boolean('done').notNull(),
  deletes: boolean('deletes').notNull(),
  creates: boolean('creates').notNull(),
  aboutApiToken: boolean('about_api_token').notNull(),
  aboutMember: boolean('about_member').notNull(),
  aboutOrganizationMember: boolean('about_organization_member').notNull(),
  namesSuperAdministrator: boolean('names_super_administrator').notNull(),
  requestsRole: boolean('requests_role').notNull(),
  aboutSsoOrMfa: boolean('about_sso_or_mfa').notNull(),
  byCloudflareStaff: boolean('by_cloudflare_staff').notNull(),
  touchesCollectorToken: boolean('touches_collector_token').notNull(),
  aboutUser: boolean('about_user').notNull(),
  copiesOfPosition: integer64('copies_of_position'),
  grantsWidely: boolean('grants_widely').notNull(),
  aboutProtection: boolean('about_protection').notNull(),
  deletesManyDnsRecords: boolean('deletes_many_dns_records').notNull(),
  aboutWorkerSecretOrRoute: boolean('about_worker_secret_or_route').notNull(),
  signsIn: boolean('signs_in').notNull(),
  namesSso: boolean('names_sso').notNull(),
  actorNetwork: text('actor_network'),
  actorDomain: text('actor_domain'),
}).existing();

/** All that any of the detections finds. */
export const detections = detection('detections');

/** The views that `detections` joins. */
export const detectionViews = [
  'api_token_changed',
  'api_token_wide_scope',
  'cloudflare_staff',
  'collector_token',
  'delete_burst',
  'dns_records_deleted',
  'failure_burst',
  'member_added',
  'protection_removed',
  'sign_in_from_new_network',
  'sign_in_without_sso',
  'sso_or_mfa_changed',
  'super_administrator_added',
  'worker_secret_or_route_changed',
].map((name) => detection(`detection_${name}`));
