import type { Finding } from '../../findings/finding.ts';
import { readAuditEntry } from '../../formats/audit-entry.ts';
import { type ActionKind, classify } from '../../formats/classification.ts';
import { actionMs, eventInstant } from '../../formats/event-time.ts';
import type { FeedEvent } from '../../formats/feed-event.ts';
import { ipVersion } from '../../formats/ip-address.ts';
import { toJsonLine } from '../../formats/json-line.ts';
import type { OutgoingEvent } from '../delivery.ts';

/** The version of ASIM's schema of audit events that the columns keep to. */
const SCHEMA_VERSION = '0.1.2';

const eventTypes: Readonly<Record<ActionKind, string>> = {
  create: 'Create',
  view: 'Read',
  update: 'Set',
  delete: 'Delete',
  unknown: 'Other',
  other: 'Other',
};
const results = { success: 'Success', failure: 'Failure', unknown: 'NA', other: 'NA' } as const;
const ALERT_SCHEMA_VERSION = '0.1';
const alertSeverities: Readonly<Record<string, string>> = {
  low: 'Low',
  medium: 'Medium',
  high: 'High',
  critical: 'High',
};
const severities = { informational: 'Informational', low: 'Low', medium: 'Medium' } as const;

/**
 * One event as a row of the table: the columns of ASIM's audit events by which rules ask, what Cloudflare's entries have beside them, and
 * the event itself as a text. Columns without a value are absent. deploy/azure/sentinel.json declares all of them.
 */
export const auditRecord = (outgoing: OutgoingEvent): string =>
  toJsonLine({
    TimeGenerated: eventInstant(outgoing.event),
    Key: outgoing.key,
    Position: outgoing.event.position,
    Event: outgoing.text,
    EventCount: 1,
    EventVendor: 'Cloudflare',
    ...(outgoing.finding === undefined ? ofEntry(outgoing) : ofFinding(outgoing.finding)),
    ...ofPlace(outgoing.event),
  });

/** ASIM's schema of alerts. */
const ofFinding = (finding: Finding): object => ({
  EventProduct: 'orgtrail',
  EventSchema: 'AlertEvent',
  EventSchemaVersion: ALERT_SCHEMA_VERSION,
  EventType: 'Alert',
  EventSeverity: alertSeverities[finding.severity] ?? 'Medium',
  EventMessage: finding.summary,
  Operation: finding.detection,
  Object: finding.resourceId ?? finding.resourceType ?? 'unknown',
  ObjectType: finding.resourceType ?? undefined,
  ActorUsername: finding.actor,
  SrcIpAddr: ipOf(finding.actorIpAddress ?? undefined),
});

const ipOf = (address: string | undefined): string | undefined =>
  address !== undefined && ipVersion(address) !== undefined ? address : undefined;

const ofPlace = (event: FeedEvent): object => ({
  OrganizationId: event.organizationId ?? undefined,
  OrganizationName: event.organizationName ?? undefined,
  AccountId: event.accountId ?? undefined,
  AccountName: event.accountName ?? undefined,
  ZoneId: event.zoneId ?? undefined,
  ZoneName: event.zoneName ?? undefined,
});

const ofEntry = ({ event }: OutgoingEvent): object => {
  const entry = readAuditEntry(event);
  const { action, outcome, severity } = classify(entry);
  const { texts } = entry;
  const instant = eventInstant(event);
  return {
    EventProduct: 'Audit Logs',
    EventSchema: 'AuditEvent',
    EventSchemaVersion: SCHEMA_VERSION,
    EventStartTime: instant,
    EventEndTime: instant,
    EventType: eventTypes[action],
    EventOriginalType: texts.actionType,
    EventOriginalUid: event.id,
    EventResult: results[outcome],
    EventOriginalResultDetails: entry.statusCode === undefined ? undefined : String(entry.statusCode),
    EventSeverity: severities[severity],
    EventMessage: texts.actionDescription,
    Dvc: 'Cloudflare',
    Operation: texts.actionType ?? 'unknown',
    Object: texts.resourceId ?? texts.resourceType ?? texts.resourceProduct ?? 'unknown',
    ObjectType: texts.resourceType,
    ActorUserId: texts.actorId,
    ActorUserIdType: texts.actorId === undefined ? undefined : 'Other',
    ActorUsername: texts.actorEmail,
    ActorUsernameType: texts.actorEmail === undefined ? undefined : 'UPN',
    ActorOriginalUserType: texts.actorType,
    SrcIpAddr: ipOf(texts.actorIpAddress),
    HttpUserAgent: texts.userAgent,
    TargetAppName: texts.resourceProduct ?? 'Cloudflare',
    TargetUrl: texts.uri,
    ActionTimeKnown: actionMs(event) !== undefined,
    RayId: texts.rayId,
    TokenId: texts.actorTokenId,
    TokenName: texts.actorTokenName,
  };
};
