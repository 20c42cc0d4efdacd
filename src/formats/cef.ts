import { ipVersion } from '../base/addresses.ts';
import { type AuditEntry, readAuditEntry } from './audit-entry.ts';
import { classify, eventKind } from './classification.ts';
import { actionMs, type FeedEvent, type Format, factsAtEnd, isOfAccount, receivedMs, textLines } from './format.ts';
import { cut, oneLine } from './text.ts';

/** CEF: 0-3 are Low, 4-6 Medium, 7-8 High. */
const severities = { informational: 1, low: 3, medium: 5, high: 8 } as const;
const NAME_LENGTH = 512;
const STRING_LENGTH = 1023;
const SHORT_LENGTH = 63;
const EXTERNAL_ID_LENGTH = 40;
const CUSTOM_LENGTH = 4000;
const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '=': '\\=', '\n': '\\n', '\r': '\\r' };

/** Backslash and pipe escaped, without line breaks, which CEF allows in the extension only. */
const headerText = (text: string): string => oneLine(text).replace(/[\\|]/g, '\\$&');

/** Backslash, equals sign and line breaks escaped. */
const extensionText = (text: string): string =>
  text.toWellFormed().replace(/[\\=\p{Cc}\p{Zl}\p{Zp}]/gu, (character) => escapes[character] ?? oneLine(character));

/** With the dictionary's length, in UTF-16 units before escaping. */
type Field = readonly [key: string, value: string | number | undefined, length?: number];

const labelled = (key: string, label: string, value: string | number | undefined, length = CUSTOM_LENGTH): Field[] =>
  value === undefined || value === ''
    ? []
    : [
        [key, value, length],
        [`${key}Label`, label],
      ];

const sourceFields = (address: string | undefined): Field[] => {
  if (address === undefined) return [];
  const version = ipVersion(address);
  if (version === 6) return labelled('c6a2', 'Source IPv6 Address', address);
  return [[version === 4 ? 'src' : 'shost', address]];
};

const userFields = (entry: AuditEntry): Field[] => {
  const { actorEmail, actorId, actorType } = entry.texts;
  const { target } = classify(entry);
  return [
    ['suser', actorEmail],
    ['suid', actorId],
    ['spriv', actorType],
    ['duser', target?.email],
    ['duid', target?.id],
  ];
};

const requestFields = ({ texts, statusCode }: AuditEntry): Field[] => [
  ['requestMethod', texts.method],
  ['request', texts.uri],
  ['requestClientApplication', texts.userAgent],
  ['reason', statusCode],
];

/** Half an id names nothing: a long one has a key of its own, uncut. */
const idField = (id: string): Field =>
  id.length <= EXTERNAL_ID_LENGTH ? ['externalId', id] : ['CloudflareAuditLogsId', id, CUSTOM_LENGTH];

const payload = ({ request }: AuditEntry): string | undefined =>
  request === undefined || request === null ? undefined : JSON.stringify(request);

/** Not in the dictionary. Ids are not cut. */
const accountFields = ({ accountId, accountName, zoneId, zoneName }: FeedEvent): Field[] => [
  ['CloudflareAccountId', accountId ?? undefined, CUSTOM_LENGTH],
  ['CloudflareAccountName', accountName ?? undefined],
  ['CloudflareZoneId', zoneId ?? undefined, CUSTOM_LENGTH],
  ['CloudflareZoneName', zoneName ?? undefined],
];

const customFields = (entry: AuditEntry, event: FeedEvent): Field[] => {
  const { actorContext, actorTokenId, actorTokenName, rayId, resourceId } = entry.texts;
  const token = [actorTokenName, actorTokenId].filter((part) => part !== undefined).join(' ');
  return [
    ...labelled('cs1', 'Organization Name', event.organizationName ?? undefined),
    ...labelled('cs2', 'Actor Context', actorContext),
    ...labelled('cs3', 'Actor Token', token),
    ...labelled('cs4', 'Ray ID', rayId),
    ...labelled('cs5', 'Resource ID', resourceId),
    ...labelled('cs6', 'Request Payload', payload(entry)),
    ...(isOfAccount(event) ? accountFields(event) : []),
    ['OrgtrailFeedId', event.feedId],
    ['OrgtrailFeedDefects', event.defects?.join(',')],
    // Last, and not of the entry: readers drop trailing spaces of the last value.
    ...labelled('cn1', 'Feed Position', event.position),
  ];
};

const written = ([key, value, length = STRING_LENGTH]: Field): string[] =>
  value === undefined || value === '' ? [] : [`${key}=${extensionText(cut(String(value), length))}`];

/** CEF version 0 without a syslog header. Values are cut to the lengths of ArcSight's dictionary. */
const formatCef = (event: FeedEvent): string => {
  const entry = readAuditEntry(event);
  const { texts } = entry;
  const kind = eventKind(entry);
  const name = cut(texts.actionDescription ?? kind, NAME_LENGTH);
  const extension: Field[] = [
    ['rt', receivedMs(event)],
    ['start', actionMs(event)],
    ['end', actionMs(event)],
    idField(event.id),
    ['act', texts.actionType, SHORT_LENGTH],
    ['outcome', texts.actionResult, SHORT_LENGTH],
    ['cat', texts.resourceType],
    ['destinationServiceName', texts.resourceProduct],
    ...userFields(entry),
    ...sourceFields(texts.actorIpAddress),
    ...requestFields(entry),
    ['msg', entry.isObject ? undefined : entry.exactText],
    ['deviceExternalId', event.organizationId ?? event.accountId ?? undefined, 255],
    ...customFields(entry, event),
  ];
  const header = ['CEF:0', 'Cloudflare', 'Audit Logs', '2', kind, name, severities[classify(entry).severity]];
  return `${header.map((field) => headerText(String(field))).join('|')}|${extension.flatMap(written).join(' ')}`;
};

export const cef: Format = {
  ...textLines,
  fileExtension: '.cef',
  format: formatCef,
  readLine: (line) => factsAtEnd(/ cn1=(\d+) cn1Label=Feed Position$/, line),
};
