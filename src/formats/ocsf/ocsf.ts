import { type AuditEntry, readAuditEntry, unmappedRest } from '../audit-entry.ts';
import { classify, eventKind, targetUser } from '../classification.ts';
import { actionMs, receivedMs } from '../event-time.ts';
import { type EventFormatter, type FeedEvent, isOfAccount } from '../feed-event.ts';
import { type Format, jsonFacts, jsonLines } from '../format.ts';
import { toJsonLine } from '../json-line.ts';
import { ocsfClass } from './ocsf-class.ts';
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

const namedOf = (uid: string | null, name: string | null): object | undefined =>
  uid === null ? undefined : { uid, name: name ?? undefined };

const cloud = (event: FeedEvent): object => ({
  provider: 'Cloudflare',
  account: isOfAccount(event) ? namedOf(event.accountId, event.accountName) : undefined,
  org: namedOf(event.organizationId, event.organizationName),
});

/** An event of the Open Cybersecurity Schema Framework 1.5.0; the exact entry in `raw_data`, and what has no attribute in `unmapped`. */
export const formatOcsf: EventFormatter = (event, large) => {
  const entry = readAuditEntry(event);
  const { texts, statusCode } = entry;
  const kinds = classify(entry);
  const target = targetUser(entry);
  const found = ocsfClass(entry, kinds, target);
  const user = found.name === 'account_change' ? target : undefined;
  const isEntity = found.name === 'entity_management';
  const isActivity = user === undefined && !isEntity;
  const grades = ocsfGrades(entry, kinds);
  // One object, whose members are always in this order: put together from several it takes longer. JSON leaves out what is undefined.
  const line = {
    class_uid: found.classUid,
    class_name: found.className,
    category_uid: found.categoryUid,
    category_name: found.categoryName,
    activity_id: found.activityId,
    activity_name: found.activityName,
    type_uid: found.classUid * 100 + found.activityId,
    type_name: `${found.className}: ${found.activityId === 99 ? 'Other' : found.activityName}`,
    severity_id: grades.severityId,
    severity: grades.severity,
    status_id: grades.statusId,
    status: grades.status,
    time: actionMs(event) ?? receivedMs(event),
    message: texts.actionDescription,
    status_code: statusCode === undefined ? undefined : String(statusCode),
    status_detail: ocsfStatusDetail(entry),
    metadata: metadata(entry, event),
    cloud: cloud(event),
    actor: ocsfActor(entry),
    api: ocsfApi(entry, event),
    src_endpoint: ocsfSource(entry),
    http_request: ocsfHttpRequest(entry),
    http_response: statusCode === undefined ? undefined : { code: statusCode },
    observables: ocsfObservables(entry),
    user: user && ocsfTargetUser(user),
    entity: isEntity ? ocsfEntity(entry, kinds.subject) : undefined,
    resources: isActivity ? ocsfResources(entry) : undefined,
    dst_endpoint: isActivity ? { svc_name: texts.resourceProduct ?? 'Cloudflare API' } : undefined,
    unmapped: {
      cloudflare: unmappedRest(entry, ocsfMapped(entry, event, found, kinds)),
      orgtrail: { feed_id: event.feedId, source_id: event.sourceId, defects: event.defects ?? undefined },
    },
    raw_data: entry.exactText,
  };
  return toJsonLine(line, entry.isPlain, large);
};

export const ocsf: Format = {
  ...jsonLines,
  format: formatOcsf,
  readLine: (line) => {
    const { metadata } = JSON.parse(line);
    return jsonFacts(metadata?.sequence, metadata?.uid);
  },
};
