import { type AuditEntry, readAuditEntry, unmappedRest } from '../audit-entry.ts';
import { type Classification, classify, eventKind, type TargetUser, targetUser } from '../classification.ts';
import { actionMs, receivedMs } from '../event-time.ts';
import { type FeedEvent, isOfAccount } from '../feed-event.ts';
import { type Format, jsonFacts, jsonLines } from '../format.ts';
import { toJsonLine } from '../json-line.ts';
import { type OcsfClass, ocsfClass } from './ocsf-class.ts';
import { ocsfMapped } from './ocsf-mapped.ts';
import {
  ocsfActor,
  ocsfApi,
  ocsfEntity,
  ocsfGrades,
  ocsfHttpRequest,
  ocsfObservables,
  ocsfResources,
  ocsfSource,
  ocsfStatusDetail,
  ocsfTargetUser,
} from './ocsf-parts.ts';

/** The version of the schema that the output is valid against. */
const OCSF_VERSION = '1.5.0';

const metadata = (entry: AuditEntry, event: FeedEvent): object => ({
  version: OCSF_VERSION,
  profiles: ['cloud'],
  product: { vendor_name: 'Cloudflare', name: 'Audit Logs', version: '2' },
  log_name: `${event.sourceKind} audit log`,
  log_provider: 'orgtrail',
  uid: event.id,
  event_code: eventKind(entry),
  correlation_uid: entry.texts.rayId,
  tenant_uid: event.organizationId ?? event.accountId ?? undefined,
  original_time: entry.texts.actionTime,
  logged_time: receivedMs(event),
  sequence: event.position,
});

/** What the class asks for beside what all have. */
const subjectParts = (entry: AuditEntry, kinds: Classification, found: OcsfClass, user?: TargetUser): object => {
  if (found.name === 'account_change' && user !== undefined) return { user: ocsfTargetUser(user) };
  if (found.name === 'entity_management') return { entity: ocsfEntity(entry, kinds.subject) };
  return {
    resources: ocsfResources(entry),
    dst_endpoint: { svc_name: entry.texts.resourceProduct ?? 'Cloudflare API' },
  };
};

const namedOf = (uid: string | null, name: string | null): object | undefined =>
  uid === null ? undefined : { uid, name: name ?? undefined };

/** What an event of every class has. */
const commonParts = (entry: AuditEntry, event: FeedEvent, kinds: Classification): object => ({
  ...ocsfGrades(entry, kinds),
  time: actionMs(event) ?? receivedMs(event),
  message: entry.texts.actionDescription,
  status_code: entry.statusCode === undefined ? undefined : String(entry.statusCode),
  status_detail: ocsfStatusDetail(entry),
  metadata: metadata(entry, event),
  cloud: {
    provider: 'Cloudflare',
    account: isOfAccount(event) ? namedOf(event.accountId, event.accountName) : undefined,
    org: namedOf(event.organizationId, event.organizationName),
  },
  actor: ocsfActor(entry),
  api: ocsfApi(entry, event),
  src_endpoint: ocsfSource(entry),
  http_request: ocsfHttpRequest(entry),
  http_response: entry.statusCode === undefined ? undefined : { code: entry.statusCode },
  observables: ocsfObservables(entry),
});

/** An event of the Open Cybersecurity Schema Framework 1.5.0; the exact entry in `raw_data`, and what has no attribute in `unmapped`. */
export const formatOcsf = (event: FeedEvent): string => {
  const entry = readAuditEntry(event);
  const kinds = classify(entry);
  const user = targetUser(entry);
  const found = ocsfClass(entry, kinds, user);
  return toJsonLine({
    class_uid: found.classUid,
    class_name: found.className,
    category_uid: found.categoryUid,
    category_name: found.categoryName,
    activity_id: found.activityId,
    activity_name: found.activityName,
    type_uid: found.classUid * 100 + found.activityId,
    type_name: `${found.className}: ${found.activityId === 99 ? 'Other' : found.activityName}`,
    ...commonParts(entry, event, kinds),
    ...subjectParts(entry, kinds, found, user),
    unmapped: {
      cloudflare: unmappedRest(entry, ocsfMapped(entry, event, found, kinds)),
      orgtrail: { feed_id: event.feedId, source_id: event.sourceId, defects: event.defects ?? undefined },
    },
    raw_data: entry.exactText,
  });
};

export const ocsf: Format = {
  ...jsonLines,
  format: formatOcsf,
  readLine: (line) => {
    const { metadata } = JSON.parse(line);
    return jsonFacts(metadata?.sequence, metadata?.uid);
  },
};
