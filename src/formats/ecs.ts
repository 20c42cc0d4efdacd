import { ipVersion } from '../base/addresses.ts';
import {
  type AuditEntry,
  bitOf,
  isEventField,
  type Mapped,
  member,
  readAuditEntry,
  textMember,
  textNames,
  unmappedRest,
} from './audit-entry.ts';
import { type ActionKind, type Classification, classify, eventKind, type TargetUser } from './classification.ts';
import {
  type EventFormatter,
  eventInstant,
  type FeedEvent,
  type Format,
  isOfAccount,
  jsonFacts,
  jsonLines,
  receivedInstant,
} from './format.ts';
import { readUri, toJsonLine, unlessEmpty } from './text.ts';

/** ECS 9 has all its fields and words, too. */
const ECS_VERSION = '8.17.0';
const severities = { informational: 1, low: 3, medium: 5, high: 8 } as const;

/** As a field, JSON of any type would change its type between events, which Elasticsearch refuses. */
const asText = (value: unknown): string | undefined =>
  value === undefined || value === null ? undefined : typeof value === 'string' ? value : JSON.stringify(value);

const eventFields = (entry: AuditEntry, event: FeedEvent, kinds: Classification, received: string): object => ({
  kind: 'event',
  ...ecsCategories(kinds),
  action: entry.texts.actionType,
  outcome: kinds.outcome === 'other' ? 'unknown' : kinds.outcome,
  code: eventKind(entry),
  id: event.id,
  sequence: event.position,
  severity: severities[kinds.severity],
  created: received,
  ingested: received,
  module: 'cloudflare',
  dataset: 'cloudflare.audit',
  provider: 'orgtrail',
  original: entry.exactText,
});

const userFields = ({ texts }: AuditEntry, target: TargetUser | undefined): object | undefined => {
  const { actorId, actorEmail } = texts;
  return unlessEmpty({
    id: actorId,
    name: actorEmail,
    email: actorEmail,
    target: target && { id: target.id, name: target.email, email: target.email, roles: target.roles },
  });
};

const groupFields = ({ texts, request, response }: AuditEntry, { subject }: Classification): object | undefined =>
  subject === 'group'
    ? unlessEmpty({ id: texts.resourceId, name: nameOf(request) ?? nameOf(member(response, 'result')) })
    : undefined;

/** `displayName` is SCIM's. */
const nameOf = (part: unknown): string | undefined => textMember(part, 'name') ?? textMember(part, 'displayName');

const sourceFields = (address: string | undefined): object | undefined =>
  address === undefined ? undefined : { address, ip: ipVersion(address) === undefined ? undefined : address };

const httpFields = ({ texts, statusCode }: AuditEntry): object | undefined =>
  unlessEmpty({
    request: unlessEmpty({ id: texts.rayId, method: texts.method }),
    response: statusCode === undefined ? undefined : { status_code: statusCode },
  });

const urlFields = (uri: string | undefined): object | undefined => {
  if (uri === undefined) return undefined;
  const { path, query, scheme, host } = readUri(uri);
  return { original: uri, full: scheme === undefined ? undefined : uri, scheme, domain: host, path, query };
};

const relatedFields = ({ texts }: AuditEntry, target: TargetUser | undefined): object | undefined => {
  const { actorId, actorEmail, actorIpAddress } = texts;
  const users = [actorId, actorEmail, target?.id, target?.email].filter((user) => user !== undefined);
  const hasIp = actorIpAddress !== undefined && ipVersion(actorIpAddress) !== undefined;
  return unlessEmpty({
    user: users.length === 0 ? undefined : [...new Set(users)],
    ip: hasIp ? [actorIpAddress] : undefined,
  });
};

/** Has a field of its own; the rest goes to `cloudflare.audit.other` as JSON text. */
const mapped = (entry: AuditEntry, event: FeedEvent): Mapped => {
  const { texts, statusCode, value } = entry;
  const scope = member(member(value, 'resource'), 'scope');
  let bits = bitOf['resource.request'] | bitOf['resource.response'];
  for (const name of textNames) {
    if (texts[name] !== undefined && isEventField(entry, event, name)) bits |= bitOf[name];
  }
  if (member(value, 'id') === event.id) bits |= bitOf.id;
  if (statusCode !== undefined) bits |= bitOf['raw.status_code'];
  if (scope !== undefined && scope !== null) bits |= bitOf['resource.scope'];
  return bits;
};

/** Custom fields under a name of their own, as ECS asks: all texts, or lists of texts. */
const cloudflareFields = (entry: AuditEntry, event: FeedEvent): object => {
  const { texts, value, request, response } = entry;
  return {
    feed_id: event.feedId,
    source: { kind: event.sourceKind, id: event.sourceId },
    defects: event.defects ?? undefined,
    action: unlessEmpty({
      description: texts.actionDescription,
      result: texts.actionResult,
      time: texts.actionTime,
      type: texts.actionType,
    }),
    actor: unlessEmpty({
      context: texts.actorContext,
      token_id: texts.actorTokenId,
      token_name: texts.actorTokenName,
      type: texts.actorType,
    }),
    resource: unlessEmpty({
      id: texts.resourceId,
      product: texts.resourceProduct,
      scope: asText(member(member(value, 'resource'), 'scope')),
      type: texts.resourceType,
      request: asText(request),
      response: asText(response),
    }),
    zone: isOfAccount(event)
      ? unlessEmpty({ id: event.zoneId ?? undefined, name: event.zoneName ?? undefined })
      : undefined,
    other: asText(unmappedRest(entry, mapped(entry, event))),
  };
};

const namedOf = (id: string | null, name: string | null): object | undefined =>
  id === null ? undefined : { id, name: name ?? undefined };

/** The exact entry is in `event.original`. */
export const formatEcs: EventFormatter = (event, large) => {
  const entry = readAuditEntry(event);
  const kinds = classify(entry);
  const { texts } = entry;
  const { target } = kinds;
  const organization = namedOf(event.organizationId, event.organizationName);
  const line = {
    '@timestamp': eventInstant(event),
    ecs: { version: ECS_VERSION },
    message: texts.actionDescription,
    event: eventFields(entry, event, kinds, receivedInstant(event)),
    organization,
    cloud: {
      provider: 'cloudflare',
      account: isOfAccount(event) ? namedOf(event.accountId, event.accountName) : organization,
      service: texts.resourceProduct === undefined ? undefined : { name: texts.resourceProduct },
    },
    user: userFields(entry, target),
    group: groupFields(entry, kinds),
    source: sourceFields(texts.actorIpAddress),
    user_agent: texts.userAgent === undefined ? undefined : { original: texts.userAgent },
    http: httpFields(entry),
    url: urlFields(texts.uri),
    related: relatedFields(entry, target),
    cloudflare: { audit: cloudflareFields(entry, event) },
  };
  return toJsonLine(line, entry.isPlain, large);
};

/** `authentication` for sign-ins, `iam` for identity management, with the kind of object and of act; else `configuration`. */
const ecsCategories = ({ action, subject, target }: Classification): EcsCategories => {
  if (action === 'login') return { category: ['authentication'], type: ['start'] };
  if (subject === 'other')
    return { category: ['configuration'], type: [action === 'view' ? 'access' : iamTypes[action]] };
  const object = subject === 'user' || subject === 'group' ? subject : 'admin';
  // A role is a group of rights.
  const isRoleChange = action === 'update' && target?.roles !== undefined;
  return { category: ['iam'], type: [object, ...(isRoleChange ? ['group'] : []), iamTypes[action]] };
};

const iamTypes: Readonly<Record<Exclude<ActionKind, 'login'>, string>> = {
  create: 'creation',
  update: 'change',
  delete: 'deletion',
  view: 'info',
  unknown: 'info',
  other: 'info',
};

export const ecs: Format = {
  ...jsonLines,
  format: formatEcs,
  readLine: (line) => {
    const { event } = JSON.parse(line);
    return jsonFacts(event?.sequence, event?.id);
  },
};

/** Lists that ECS allows only in certain combinations. */
type EcsCategories = Readonly<{ category: readonly string[]; type: readonly string[] }>;
