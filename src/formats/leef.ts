import { ipVersion } from '../base/addresses.ts';
import { type AuditEntry, readAuditEntry } from './audit-entry.ts';
import { classify, eventKind } from './classification.ts';
import {
  actionMs,
  type FeedEvent,
  type Format,
  factsAtEnd,
  isOfAccount,
  receivedInstant,
  receivedMs,
  textLines,
} from './format.ts';
import { cut, oneLine } from './text.ts';

/** LEEF: 1 to 10. */
const severities = { informational: 1, low: 3, medium: 5, high: 8 } as const;
/** Limit of predefined texts, in UTF-16 units; kept for all, since receivers of syslog split long events. */
const TEXT_LENGTH = 255;
const devTimeFormat = "yyyy-MM-dd'T'HH:mm:ss.SSSZ";
type Field = readonly [key: string, value: string | number | undefined];

const timeFields = (event: FeedEvent): Field[] => [
  ['devTime', new Date(actionMs(event) ?? receivedMs(event)).toISOString().replace('Z', '+0000')],
  ['devTimeFormat', devTimeFormat],
];

/** QRadar reads these by itself. */
const predefinedFields = (entry: AuditEntry, event: FeedEvent): Field[] => {
  const { texts } = entry;
  const address = texts.actorIpAddress;
  return [
    ['cat', texts.resourceProduct],
    ['sev', severities[classify(entry).severity]],
    ['usrName', texts.actorEmail ?? texts.actorTokenName ?? texts.actorId],
    ['src', address !== undefined && ipVersion(address) !== undefined ? address : undefined],
    ['accountName', (isOfAccount(event) ? event.accountName : event.organizationName) ?? undefined],
    ['role', texts.actorType],
    ['realm', texts.actorContext],
    ['resource', texts.resourceId],
    ['url', texts.uri],
  ];
};

const accountFields = (event: FeedEvent): Field[] => [
  ['accountId', event.accountId ?? undefined],
  ['zoneId', event.zoneId ?? undefined],
  ['zoneName', event.zoneName ?? undefined],
  ['organizationName', event.organizationName ?? undefined],
];

const customFields = (entry: AuditEntry, event: FeedEvent): Field[] => {
  const { texts } = entry;
  const { target } = classify(entry);
  return [
    ['eventName', texts.actionDescription],
    ['action', texts.actionType],
    ['outcome', texts.actionResult],
    ['resourceType', texts.resourceType],
    ['userId', texts.actorId],
    ['tokenId', texts.actorTokenId],
    ['tokenName', texts.actorTokenName],
    ['targetUserId', target?.id],
    ['targetUserName', target?.email],
    ['srcAddress', texts.actorIpAddress],
    ['httpMethod', texts.method],
    ['httpStatus', entry.statusCode],
    ['userAgent', texts.userAgent],
    ['cfRayId', texts.rayId],
    ...(isOfAccount(event) ? accountFields(event) : []),
    ['organizationId', event.organizationId ?? undefined],
    ['eventId', event.id],
    ['receivedAt', receivedInstant(event)],
    ['defects', event.defects?.join(',')],
    ['feedId', event.feedId],
    ['position', event.position],
  ];
};

const written = ([key, value]: Field): string[] =>
  value === undefined || value === '' ? [] : [`${key}=${cut(oneLine(String(value)), TEXT_LENGTH)}`];

/** LEEF 2.0 without a syslog header, separated by tabs. It has no escapes: tabs and breaks become spaces, payloads are left out. */
const formatLeef = (event: FeedEvent): string => {
  const entry = readAuditEntry(event);
  const fields = [...timeFields(event), ...predefinedFields(entry, event), ...customFields(entry, event)];
  return `LEEF:2.0|Cloudflare|Audit Logs|2|${eventKind(entry)}|x09|${fields.flatMap(written).join('\t')}`;
};

export const leef: Format = {
  ...textLines,
  fileExtension: '.leef',
  format: formatLeef,
  readLine: (line) => factsAtEnd(/\tposition=(\d+)$/, line),
};
