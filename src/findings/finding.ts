import type { FeedEvent } from '../formats/feed-event.ts';

/** What a detection found, as `detections` says it. Its texts come from the entry, and so from the actor. */
export interface Finding {
  readonly detection: string;
  readonly severity: string;
  /** Of an alarm of orgtrail itself, in the place of a detection: whether it is opened or resolved, and by which number it was opened. */
  readonly alarm?: { readonly state: 'open' | 'resolved'; readonly opened: number } | undefined;
  /** Of the event that names it: where the console has it. */
  readonly eventPosition: number;
  /** How many events it takes. */
  readonly events: number;
  /** RFC 3339; of the first of these events. */
  readonly firstTime: string | null;
  readonly actor: string;
  readonly actorIpAddress: string | null;
  readonly actionType: string | null;
  readonly actionResult: string | null;
  readonly resourceType: string | null;
  readonly resourceId: string | null;
  readonly summary: string;
}

/** A finding in the place of an event: its position is that at which it is found. Its source and id are those of the event that names it. */
export interface FoundEvent extends FeedEvent {
  readonly finding: Finding;
}

/** How much a detection matters, the least first: as the level of its Sigma rule. */
export const severities = ['low', 'medium', 'high', 'critical'] as const;
export type Severity = (typeof severities)[number];

/** What its key is made of: the same for every replica, restart and replay. */
export const findingKeyParts = ({ finding, sourceKind, sourceId, id }: FoundEvent): readonly string[] => [
  finding.alarm === undefined ? 'detection' : 'alarm',
  finding.detection,
  sourceKind,
  sourceId,
  id,
];

/** With the state of an alarm that is over. */
export const titleOf = ({ detection, alarm }: Finding): string =>
  detectionTitle(`${alarm?.state === 'resolved' ? 'resolved: ' : ''}${detection}`);

/** `token_changed` as `Token changed`. */
export const detectionTitle = (detection: string): string => {
  const words = detection.replaceAll('_', ' ').trim();
  return `${words.slice(0, 1).toUpperCase()}${words.slice(1)}`.replace(/\bapi\b/i, 'API').replace(/\bsso\b/i, 'SSO');
};

/** The account or organization, by name if it has one. */
export const placeOfFinding = (event: FeedEvent): string =>
  event.accountName ?? event.organizationName ?? event.accountId ?? event.organizationId ?? event.sourceId;
