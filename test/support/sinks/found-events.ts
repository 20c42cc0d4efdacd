import { createHash } from 'node:crypto';
import type { OutgoingEvent } from '../../../src/sinks/delivery.ts';
import type { Finding, FoundEvent } from '../../../src/sinks/findings/finding.ts';
import { findingLine } from '../../../src/sinks/findings/finding.ts';

const finding: Finding = {
  detection: 'api_token_changed',
  severity: 'high',
  eventPosition: 1,
  events: 1,
  firstTime: '2026-09-30T00:00:00.000000Z',
  actor: 'mira.petrov@example.com',
  actorIpAddress: '192.0.2.66',
  actionType: 'create',
  actionResult: 'success',
  resourceType: 'api_token',
  resourceId: '1',
  summary: 'Create API Token by mira.petrov@example.com from 192.0.2.66',
};

/** A finding on its way to a sink. */
export const outgoingFinding = (
  position: number,
  more: Partial<Finding> = {},
  place: Partial<FoundEvent> = {},
): OutgoingEvent => {
  const event: FoundEvent = {
    position,
    feedId: '0f8fad5b-d9cb-469f-a165-70867728950e',
    sourceKind: 'account',
    sourceId: 'a7b9c3d2e8f4a1b5',
    organizationId: null,
    organizationName: null,
    accountId: 'a7b9c3d2e8f4a1b5',
    accountName: 'Northwind',
    zoneId: null,
    zoneName: null,
    id: `entry-${position}`,
    actionTime: new Date(Date.UTC(2026, 8, 30) + position * 1_000).toISOString(),
    receivedAt: '2026-10-01T00:00:30.123456Z',
    rawText: '{}',
    defects: null,
    ...place,
    finding: { ...finding, eventPosition: position, ...more },
  };
  const key = createHash('sha256').update(`${event.finding.detection} ${event.id}`).digest('base64url');
  return { event, finding: event.finding, key, text: findingLine(event, key, 'native') };
};

/** Ordinary findings, one at each position. */
export const foundEvents = (count: number, padding = ''): OutgoingEvent[] =>
  Array.from({ length: count }, (_, n) =>
    outgoingFinding(n + 1, padding === '' ? {} : { summary: `${padding} ${finding.summary}` }),
  );
