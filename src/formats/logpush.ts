import { type AuditEntry, isJsonObject, member, readAuditEntry, textMember } from './audit-entry.ts';
import {
  type EventFormatter,
  eventInstant,
  type Format,
  isOfAccount,
  jsonFacts,
  jsonLines,
  receivedInstant,
} from './format.ts';
import { toJsonLine } from './text.ts';

const scopeText = ({ value, texts }: AuditEntry): string => {
  const scope = member(member(value, 'resource'), 'scope');
  return texts.resourceScope ?? (scope === undefined || scope === '' ? '' : JSON.stringify(scope));
};

const tokenDetails = ({ texts }: AuditEntry): object => ({
  token_id: texts.actorTokenId,
  token_name: texts.actorTokenName,
});

/** A column of objects refuses a list or a text (BigQuery: RECORD): these are in `value`. */
const asObject = (part: unknown): object => {
  if (part === undefined || part === null) return {};
  return isJsonObject(part) ? part : { value: part };
};

/** Names of Cloudflare's dataset `audit_logs_v2`. It knows no organizations: their names and the feed's own stand at the end. */
const formatLogpush: EventFormatter = (event, large) => {
  const entry = readAuditEntry(event);
  const { texts, value } = entry;
  const [account, zone, raw] = [member(value, 'account'), member(value, 'zone'), member(value, 'raw')];
  const line = {
    AccountID: textMember(account, 'id') ?? ((isOfAccount(event) && event.accountId) || ''),
    AccountName: textMember(account, 'name') ?? '',
    ActionDescription: texts.actionDescription ?? '',
    ActionResult: texts.actionResult ?? '',
    ActionTimestamp: eventInstant(event),
    ActionType: texts.actionType ?? '',
    ActorContext: texts.actorContext ?? '',
    ActorEmail: texts.actorEmail ?? '',
    ActorID: texts.actorId ?? '',
    ActorIPAddress: texts.actorIpAddress ?? '',
    ActorTokenDetails: tokenDetails(entry),
    ActorType: texts.actorType ?? '',
    AuditLogID: event.id,
    Raw: isJsonObject(raw) ? raw : {},
    ResourceID: texts.resourceId ?? '',
    ResourceProduct: texts.resourceProduct ?? '',
    ResourceRequest: asObject(entry.request),
    ResourceResponse: asObject(entry.response),
    ResourceScope: scopeText(entry),
    ResourceType: texts.resourceType ?? '',
    ResourceValue: {},
    ZoneID: textMember(zone, 'id') ?? '',
    ZoneName: textMember(zone, 'name') ?? '',
    OrganizationID: event.organizationId ?? '',
    OrganizationName: event.organizationName ?? '',
    FeedID: event.feedId,
    FeedPosition: event.position,
    ReceivedAt: receivedInstant(event),
    Defects: event.defects ?? [],
  };
  return toJsonLine(line, entry.isPlain, large);
};

export const logpush: Format = {
  ...jsonLines,
  format: formatLogpush,
  readLine: (line) => {
    const { FeedPosition, AuditLogID } = JSON.parse(line);
    return jsonFacts(FeedPosition, AuditLogID);
  },
};
