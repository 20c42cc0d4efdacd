import { ipVersion } from '../base/addresses.ts';
import {
  type AuditEntry,
  bitOf,
  isEventField,
  type Mapped,
  type MappedName,
  member,
  readAuditEntry,
  textMember,
  unmappedRest,
} from './audit-entry.ts';
import {
  type ActionKind,
  type Classification,
  classify,
  eventKind,
  type Subject,
  type TargetUser,
} from './classification.ts';
import {
  actionMs,
  type EventFormatter,
  type FeedEvent,
  type Format,
  isOfAccount,
  jsonFacts,
  jsonLines,
  receivedMs,
} from './format.ts';
import { readUri, toJsonLine, unlessEmpty } from './text.ts';

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

/** OCSF 1.5.0; the exact entry is in `raw_data`, what has no attribute in `unmapped`. */
export const formatOcsf: EventFormatter = (event, large) => {
  const entry = readAuditEntry(event);
  const { texts, statusCode } = entry;
  const kinds = classify(entry);
  const found = ocsfClass(entry, kinds);
  const { name } = found;
  const actor = ocsfActor(entry);
  const grades = ocsfGrades(entry, kinds);
  // One object with a fixed order of members: combining several takes longer. JSON omits what is undefined.
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
    actor,
    api: ocsfApi(entry, event),
    src_endpoint: ocsfSource(entry),
    http_request: ocsfHttpRequest(entry),
    http_response: statusCode === undefined ? undefined : { code: statusCode },
    observables: ocsfObservables(entry),
    user: name === 'authentication' ? (actor.user ?? unknownUser) : ocsfTargetUser(found, kinds.target),
    privileges: name === 'user_access' ? kinds.target?.roles : undefined,
    service: name === 'authentication' ? { name: 'Cloudflare' } : undefined,
    is_remote: name === 'authentication' ? true : undefined,
    entity: name === 'entity_management' ? ocsfEntity(entry, kinds.subject) : undefined,
    resources: hasResources(found) ? ocsfResources(entry) : undefined,
    dst_endpoint: name === 'api_activity' ? { svc_name: texts.resourceProduct ?? 'Cloudflare API' } : undefined,
    unmapped: {
      cloudflare: unmappedRest(entry, ocsfMapped(entry, event, found, kinds)),
      orgtrail: { feed_id: event.feedId, source_id: event.sourceId, defects: event.defects ?? undefined },
    },
    raw_data: entry.exactText,
  };
  return toJsonLine(line, entry.isPlain, large);
};

/**
 * Authentication for sign-ins; User Access Management for a nameable member's new roles; Account Change for its other changes; Entity
 * Management for other identity management; else API Activity. An unknown action keeps its own word as the name.
 */
const ocsfClass = (entry: AuditEntry, { action, subject, target }: Classification): OcsfClass => {
  if (action === 'login') return withActivity(authentication, logonActivities, action);
  const isKnown = action !== 'unknown' && action !== 'other';
  if (isKnown && action !== 'view' && target !== undefined) {
    const { roles } = target;
    if (action !== 'update' || roles === undefined) return withActivity(accountChange, accountActivities, action);
    return roles.length === 0
      ? { ...userAccess, activityId: 2, activityName: 'Revoke Privileges' }
      : { ...userAccess, activityId: 1, activityName: 'Assign Privileges' };
  }
  const { resourceId, resourceType } = entry.texts;
  if (isKnown && subject !== 'user' && subject !== 'other' && (resourceId ?? resourceType) !== undefined)
    return withActivity(entityManagement, crudActivities, action);
  const activity = withActivity(apiActivity, crudActivities, action);
  return action === 'other' ? { ...activity, activityName: entry.texts.actionType ?? 'Other' } : activity;
};

const withActivity = (base: BareClass, ids: Activities, action: ActionKind): OcsfClass => ({
  ...base,
  activityId: ids[action] ?? OTHER,
  activityName: captions[action],
});

const captions: Readonly<Record<ActionKind, string>> = {
  create: 'Create',
  view: 'Read',
  update: 'Update',
  delete: 'Delete',
  login: 'Logon',
  unknown: 'Unknown',
  other: 'Other',
};

const iam = { categoryUid: 3, categoryName: 'Identity & Access Management' } as const;
const accountChange = { name: 'account_change', classUid: 3001, className: 'Account Change', ...iam } as const;
const authentication = { name: 'authentication', classUid: 3002, className: 'Authentication', ...iam } as const;
const userAccess = { name: 'user_access', classUid: 3005, className: 'User Access Management', ...iam } as const;
const entityManagement = { name: 'entity_management', classUid: 3004, className: 'Entity Management', ...iam } as const;
const application = { categoryUid: 6, categoryName: 'Application Activity' } as const;
const apiActivity = { name: 'api_activity', classUid: 6003, className: 'API Activity', ...application } as const;
const OTHER = 99;
const logonActivities: Activities = { login: 1 };
/** Account Change has no update. */
const accountActivities: Activities = { create: 1, delete: 6 };
const crudActivities: Activities = { create: 1, view: 2, update: 3, delete: 4, unknown: 0 };

const ocsfGrades = (entry: AuditEntry, { severity, outcome }: Classification): OcsfGrades => {
  const [severityId, severityName] = severities[severity];
  const [statusId, status] = outcome === 'other' ? [99, entry.texts.actionResult] : statuses[outcome];
  return { severityId, severity: severityName, statusId, status };
};

const severities = {
  informational: [1, 'Informational'],
  low: [2, 'Low'],
  medium: [3, 'Medium'],
  high: [4, 'High'],
} as const;
const statuses = { unknown: [0, 'Unknown'], success: [1, 'Success'], failure: [2, 'Failure'] } as const;

/** In the words of the API's first error. */
const ocsfStatusDetail = ({ response }: AuditEntry): string | undefined => {
  const errors = member(response, 'errors');
  return Array.isArray(errors) ? textMember(errors[0], 'message') : undefined;
};

/** The user, and as application the token or the way in (dashboard, API key). */
const ocsfActor = ({ texts }: AuditEntry) => {
  const { actorId, actorEmail, actorTokenId, actorTokenName, actorContext, actorType } = texts;
  const user =
    actorId === undefined && actorEmail === undefined
      ? undefined
      : {
          uid: actorId,
          name: actorEmail,
          email_addr: emailOf(actorEmail),
          credential_uid: actorTokenId,
          ...userType(actorType),
        };
  const isNameless = user === undefined && actorTokenId === undefined;
  const appName = actorTokenName ?? actorContext ?? (isNameless ? 'Unknown' : undefined);
  return { user, app_name: appName, app_uid: actorTokenId };
};

const emailOf = (text: string | undefined): string | undefined =>
  text !== undefined && email.test(text) ? text : undefined;

/** OCSF's own test of `email_t`; what fails it is a name only. */
const email = /^[a-zA-Z0-9!#$%&'*+\-/=?^_`{|}~.]+@[a-zA-Z0-9-]+\.[a-zA-Z0-9-.]+$/;

const userType = (actorType: string | undefined): { type_id: number; type: string } => {
  if (actorType === undefined) return { type_id: 0, type: 'Unknown' };
  const [typeId, type] = (Object.hasOwn(userTypes, actorType) ? userTypes[actorType] : undefined) ?? [99, actorType];
  return { type_id: typeId, type };
};

const userTypes: Readonly<Record<string, readonly [number, string]>> = { user: [1, 'User'], system: [3, 'System'] };

const ocsfApi = (entry: AuditEntry, event: FeedEvent): object => {
  const { texts, request, response, statusCode } = entry;
  const call = [texts.method, texts.uri].filter((text) => text !== undefined).join(' ');
  return {
    operation: texts.actionDescription ?? (call || (texts.actionType ?? 'Unknown')),
    service: unlessEmpty({ name: texts.resourceProduct }),
    request: { uid: texts.rayId ?? event.id, data: request ?? undefined },
    response: unlessEmpty({ code: statusCode, data: response ?? undefined }),
  };
};

const ocsfSource = ({ texts }: AuditEntry): object => {
  const address = texts.actorIpAddress;
  return address !== undefined && ipVersion(address) !== undefined ? { ip: address } : { name: address ?? 'Unknown' };
};

const ocsfHttpRequest = ({ texts }: AuditEntry): object | undefined => {
  const { uri } = texts;
  const parts = uri === undefined ? undefined : readUri(uri);
  const url = parts && {
    url_string: parts.scheme !== undefined || parts.path === '' ? uri : undefined,
    scheme: parts.scheme,
    hostname: parts.host,
    path: parts.path || undefined,
    query_string: parts.query,
  };
  return unlessEmpty({
    uid: texts.rayId,
    http_method: isOcsfMethod(texts.method) ? texts.method : undefined,
    url,
    user_agent: texts.userAgent,
  });
};

const isOcsfMethod = (method: string | undefined): boolean => method !== undefined && methods.includes(method);
/** All in the schema: a PATCH stays in `unmapped`. */
const methods = ['OPTIONS', 'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'TRACE', 'CONNECT'];

/** Values to pivot on, with their attributes. */
const ocsfObservables = ({ texts }: AuditEntry): object[] | undefined => {
  const { actorIpAddress: address, actorEmail, actorId, userAgent } = texts;
  const found: object[] = [];
  const add = (name: string, typeId: number, type: string, value: string | undefined): void => {
    if (value !== undefined) found.push({ name, type_id: typeId, type, value });
  };
  add('src_endpoint.ip', 2, 'IP Address', address !== undefined && ipVersion(address) ? address : undefined);
  add('actor.user.email_addr', 5, 'Email Address', emailOf(actorEmail));
  add('actor.user.uid', 31, 'User Object: uid', actorId);
  add('http_request.user_agent', 16, 'HTTP User-Agent', userAgent);
  return found.length === 0 ? undefined : found;
};

const ocsfTargetUser = ({ name }: OcsfClass, user: TargetUser | undefined): object | undefined => {
  if (user === undefined || (name !== 'account_change' && name !== 'user_access')) return undefined;
  return {
    uid: user.id,
    uid_alt: user.membershipId === user.id ? undefined : user.membershipId,
    name: user.email,
    email_addr: emailOf(user.email),
    groups: user.roles?.length ? user.roles.map((role) => ({ name: role, type: 'Role' })) : undefined,
  };
};

/** The class asks for a user, also of a sign-in whose entry names none. */
const unknownUser = { name: 'Unknown', type_id: 0, type: 'Unknown' } as const;

const ocsfEntity = ({ texts }: AuditEntry, subject: Subject): object => {
  const { resourceId, resourceType, resourceProduct } = texts;
  const [typeId, type] = entityTypes[subject] ?? [99, resourceType ?? resourceProduct];
  return { uid: resourceId, name: resourceId === undefined ? resourceType : undefined, type_id: typeId, type };
};

/** OCSF's `managed_entity.type_id`; anything else is Other under the API's name. */
const entityTypes: { readonly [subject in Subject]?: readonly [number, string] } = {
  group: [3, 'Group'],
  organization: [4, 'Organization'],
  policy: [5, 'Policy'],
};

const hasResources = ({ name }: OcsfClass): boolean => name === 'api_activity' || name === 'user_access';

const ocsfResources = ({ texts }: AuditEntry): object[] | undefined => {
  const { resourceId, resourceType, resourceScope } = texts;
  if (resourceId === undefined && resourceType === undefined) return undefined;
  const name = resourceId === undefined ? resourceType : undefined;
  return [{ uid: resourceId, name, type: resourceType, namespace: resourceScope }];
};

/**
 * What the OCSF event has in full, verbatim or as the caption of a documented word. The rest goes to `unmapped`: nothing is lost
 * for a reader that drops `raw_data`.
 */
const ocsfMapped = (entry: AuditEntry, event: FeedEvent, found: OcsfClass, kinds: Classification): Mapped => {
  const { texts, request, response } = entry;
  const { action, outcome, subject } = kinds;
  const hasUser = texts.actorId !== undefined || texts.actorEmail !== undefined;
  const inResources = hasResources(found) && (texts.resourceId ?? texts.resourceType) !== undefined;
  let mapped = always;
  const add = (isMapped: boolean, bits: Mapped): void => {
    if (isMapped) mapped |= bits;
  };
  add(member(entry.value, 'id') === event.id, bitOf.id);
  for (const name of ofEvent) add(isEventField(entry, event, name), bitOf[name]);
  // Its activity says what becomes of the user.
  add(action === 'other' || (action === texts.actionType && found.name !== 'user_access'), bitOf.actionType);
  add(outcome === 'other' || outcome === texts.actionResult, bitOf.actionResult);
  add(hasUser, ofUser);
  add(texts.actorTokenName === undefined, bitOf.actorContext);
  add(isOcsfMethod(texts.method), bitOf.method);
  add(texts.uri !== undefined && readUri(texts.uri).isWhole, bitOf.uri);
  add(entry.statusCode !== undefined, bitOf['raw.status_code']);
  add(inResources || (found.name === 'entity_management' && isOtherEntity(subject)), bitOf.resourceType);
  add(inResources, bitOf.resourceScope);
  add(found.name !== 'authentication', bitOf.resourceId);
  add(request !== undefined && request !== null, bitOf['resource.request']);
  add(response !== undefined && response !== null, bitOf['resource.response']);
  return mapped;
};

const bitsOf = (...names: readonly MappedName[]): Mapped => names.reduce((bits, name) => bits | bitOf[name], 0);

const always = bitsOf(
  'actionDescription',
  'actionTime',
  'actorIpAddress',
  'actorTokenId',
  'actorTokenName',
  'rayId',
  'userAgent',
  'resourceProduct',
);
const ofEvent = ['organizationId', 'accountId', 'accountName'] as const;
const ofUser = bitsOf('actorId', 'actorEmail', 'actorType');

const isOtherEntity = (subject: Subject): boolean => entityTypes[subject] === undefined;

export const ocsf: Format = {
  ...jsonLines,
  format: formatOcsf,
  readLine: (line) => {
    const { metadata } = JSON.parse(line);
    return jsonFacts(metadata?.sequence, metadata?.uid);
  },
};

type BareClass =
  | typeof apiActivity
  | typeof accountChange
  | typeof authentication
  | typeof entityManagement
  | typeof userAccess;
type OcsfClass = BareClass & Readonly<{ activityId: number; activityName: string }>;
/** Without a number of its own: Other. */
type Activities = Readonly<Partial<Record<ActionKind, number>>>;
type OcsfGrades = Readonly<{ severityId: number; severity: string; statusId: number; status: string | undefined }>;
