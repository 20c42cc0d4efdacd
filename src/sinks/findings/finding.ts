import { ipVersion } from '../../base/addresses.ts';
import { eventInstant, type FeedEvent, receivedInstant } from '../../formats/format.ts';
import { toJsonLine, unlessEmpty } from '../../formats/text.ts';

/** As in the view `detections`. Its texts come from the entry, and so from the actor. */
export interface Finding {
  readonly detection: string;
  readonly severity: string;
  /** Of an alarm of orgtrail itself, in place of a detection. `opened`: the number under which it was opened. */
  readonly alarm?: { readonly state: 'open' | 'resolved'; readonly opened: number } | undefined;
  /** What newly matches a saved search, in place of a detection. `link`: the path of these events in the console. */
  readonly search?: { readonly name: string; readonly link: string } | undefined;
  /** Of the event that names it, in the console. */
  readonly eventPosition: number;
  readonly events: number;
  /** Of the first of these events, RFC 3339. */
  readonly firstTime: string | null;
  readonly actor: string;
  readonly actorIpAddress: string | null;
  readonly actionType: string | null;
  readonly actionResult: string | null;
  readonly resourceType: string | null;
  readonly resourceId: string | null;
  readonly summary: string;
}

/** In the place of an event, with the position at which it is found. Source and id are those of the event that names it. */
export interface FoundEvent extends FeedEvent {
  readonly finding: Finding;
}

/** Of an event of no organization, account or zone. */
export const nowhere = {
  organizationId: null,
  organizationName: null,
  accountId: null,
  accountName: null,
  zoneId: null,
  zoneName: null,
} as const;

/** A finding about orgtrail itself, in no log. */
export const ownFinding = (
  own: Pick<FoundEvent, 'position' | 'feedId' | 'sourceId' | 'id'> & { readonly at: string },
  finding: Pick<Finding, 'detection' | 'severity' | 'alarm' | 'search' | 'summary'>,
): FoundEvent => {
  const { at, ...event } = own;
  return {
    ...event,
    ...nowhere,
    sourceKind: 'orgtrail',
    organizationName: 'orgtrail',
    actionTime: at,
    receivedAt: at,
    rawText: '{}',
    defects: null,
    finding: {
      ...finding,
      eventPosition: event.position,
      events: 1,
      firstTime: at,
      actor: 'orgtrail',
      actorIpAddress: null,
      actionType: null,
      actionResult: null,
      resourceType: null,
      resourceId: null,
    },
  };
};

/** The least first; the levels of Sigma rules. */
export const severities = ['low', 'medium', 'high', 'critical'] as const;
export type Severity = (typeof severities)[number];

export type FindingKind = 'alarm' | 'search' | 'detection';
export const kindOf = ({ alarm, search }: Finding): FindingKind =>
  alarm !== undefined ? 'alarm' : search !== undefined ? 'search' : 'detection';

export const findingKeyParts = ({ finding, sourceKind, sourceId, id }: FoundEvent): readonly string[] => [
  kindOf(finding),
  finding.detection,
  sourceKind,
  sourceId,
  id,
];

export const titleOf = ({ detection, alarm, search }: Finding): string =>
  search?.name ?? detectionTitle(`${alarm?.state === 'resolved' ? 'resolved: ' : ''}${detection}`);

/** `token_changed` as `Token changed`. */
export const detectionTitle = (detection: string): string => {
  const words = detection.replaceAll('_', ' ').trim();
  return `${words.slice(0, 1).toUpperCase()}${words.slice(1)}`.replace(/\b(api|dns|mfa|scim|sso)\b/gi, (word) =>
    word.toUpperCase(),
  );
};

export const placeOfFinding = (event: FeedEvent): string =>
  event.accountName ?? event.organizationName ?? event.accountId ?? event.organizationId ?? event.sourceId;

/** All other formats can only express an entry of an audit log. */
export const findingFormats = ['native', 'ecs'] as const;
type FindingFormat = (typeof findingFormats)[number];

/** With the names of the columns of `detections`. */
const nativeLine = (event: FoundEvent, key: string): string => {
  const { finding } = event;
  return toJsonLine({
    kind: kindOf(finding),
    ...(finding.alarm !== undefined && { state: finding.alarm.state, opened: finding.alarm.opened }),
    ...(finding.search !== undefined && { search: finding.search.name, link: finding.search.link }),
    key,
    position: event.position,
    feed_id: event.feedId,
    detection: finding.detection,
    severity: finding.severity,
    summary: finding.summary,
    action_time: event.actionTime,
    first_time: finding.firstTime,
    received_at: event.receivedAt,
    events: finding.events,
    source_kind: event.sourceKind,
    source_id: event.sourceId,
    id: event.id,
    event_position: finding.eventPosition,
    organization_id: event.organizationId,
    organization_name: event.organizationName,
    account_id: event.accountId,
    account_name: event.accountName,
    zone_id: event.zoneId,
    zone_name: event.zoneName,
    actor: finding.actor,
    actor_ip_address: finding.actorIpAddress,
    action_type: finding.actionType,
    action_result: finding.actionResult,
    resource_type: finding.resourceType,
    resource_id: finding.resourceId,
  });
};

/** As Elastic scores its own alerts. */
const scores: Readonly<Record<string, number>> = { low: 21, medium: 47, high: 73, critical: 99 };

/** An ECS document whose `event.kind` is `alert`. */
const ecsLine = (event: FoundEvent, key: string): string => {
  const { finding } = event;
  const address = finding.actorIpAddress ?? undefined;
  const ip = address === undefined || ipVersion(address) === undefined ? undefined : address;
  return toJsonLine({
    '@timestamp': eventInstant(event),
    ecs: { version: '8.17.0' },
    message: finding.summary,
    event: {
      kind: 'alert',
      id: key,
      action: finding.actionType ?? undefined,
      severity: scores[finding.severity],
      sequence: event.position,
      created: receivedInstant(event),
      module: 'cloudflare',
      dataset: 'cloudflare.audit_detection',
      provider: 'orgtrail',
    },
    rule: { name: titleOf(finding), id: finding.detection, category: finding.severity },
    user: { name: finding.actor },
    source: unlessEmpty({ address, ip }),
    organization: unlessEmpty({ id: event.organizationId ?? undefined, name: event.organizationName ?? undefined }),
    cloud: unlessEmpty({
      account: unlessEmpty({ id: event.accountId ?? undefined, name: event.accountName ?? undefined }),
    }),
    related: unlessEmpty({ ip: ip === undefined ? undefined : [ip], user: [finding.actor] }),
    labels: { event_id: event.id, event_position: String(finding.eventPosition) },
  });
};

const writers: Readonly<Record<FindingFormat, (event: FoundEvent, key: string) => string>> = {
  native: nativeLine,
  ecs: ecsLine,
};

export const isFindingFormat = (format: string): format is FindingFormat =>
  (findingFormats as readonly string[]).includes(format);

/** One line of JSON. Pure, never throws. Formats that findings do not have become `native`. */
export const findingLine = (event: FoundEvent, key: string, format: string): string =>
  writers[isFindingFormat(format) ? format : 'native'](event, key);
