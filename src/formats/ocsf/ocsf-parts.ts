import { type AuditEntry, member, textMember } from '../audit-entry.ts';
import type { Classification, Subject, TargetUser } from '../classification.ts';
import type { FeedEvent } from '../feed-event.ts';
import { ipVersion } from '../ip-address.ts';
import { unlessEmpty } from '../json-line.ts';
import { readUri } from '../request-uri.ts';

/** OCSF's own test of `email_t`; what fails it is a name only. */
const email = /^[a-zA-Z0-9!#$%&'*+\-/=?^_`{|}~.]+@[a-zA-Z0-9-]+\.[a-zA-Z0-9-.]+$/;
/** All that the schema lists: a PATCH stays in `unmapped`. */
const methods = ['OPTIONS', 'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'TRACE', 'CONNECT'];

const userTypes: Readonly<Record<string, readonly [number, string]>> = { user: [1, 'User'], system: [3, 'System'] };

const userType = (actorType: string | undefined): { type_id: number; type: string } => {
  if (actorType === undefined) return { type_id: 0, type: 'Unknown' };
  const [typeId, type] = (Object.hasOwn(userTypes, actorType) ? userTypes[actorType] : undefined) ?? [99, actorType];
  return { type_id: typeId, type };
};

const emailOf = (text: string | undefined): string | undefined =>
  text !== undefined && email.test(text) ? text : undefined;

/** Who did it: the user, and the token or the way in (dashboard, API key) as the application used. */
export const ocsfActor = ({ texts }: AuditEntry): object => {
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

/** The user that an Account Change is about. */
export const ocsfTargetUser = (user: TargetUser): object => ({
  uid: user.id,
  uid_alt: user.membershipId === user.id ? undefined : user.membershipId,
  name: user.email,
  email_addr: emailOf(user.email),
});

/** Numbers and names of OCSF's `managed_entity.type_id`; anything else is Other under the API's own name. */
const entityTypes: { readonly [subject in Subject]?: readonly [number, string] } = {
  group: [3, 'Group'],
  organization: [4, 'Organization'],
  policy: [5, 'Policy'],
};

export const isOtherEntity = (subject: Subject): boolean => entityTypes[subject] === undefined;

/** What an Entity Management is about. */
export const ocsfEntity = ({ texts }: AuditEntry, subject: Subject): object => {
  const { resourceId, resourceType, resourceProduct } = texts;
  const [typeId, type] = entityTypes[subject] ?? [99, resourceType ?? resourceProduct];
  return { uid: resourceId, name: resourceId === undefined ? resourceType : undefined, type_id: typeId, type };
};

/** What an API Activity is about; undefined if the entry names nothing. */
export const ocsfResources = ({ texts }: AuditEntry): object[] | undefined => {
  const { resourceId, resourceType, resourceScope } = texts;
  if (resourceId === undefined && resourceType === undefined) return undefined;
  const name = resourceId === undefined ? resourceType : undefined;
  return [{ uid: resourceId, name, type: resourceType, namespace: resourceScope }];
};

/** The call, with what was sent and answered. */
export const ocsfApi = (entry: AuditEntry, event: FeedEvent): object => {
  const { texts, request, response, statusCode } = entry;
  const call = [texts.method, texts.uri].filter((text) => text !== undefined).join(' ');
  return {
    operation: texts.actionDescription ?? (call || (texts.actionType ?? 'Unknown')),
    service: unlessEmpty({ name: texts.resourceProduct }),
    request: { uid: texts.rayId ?? event.id, data: request ?? undefined },
    response: unlessEmpty({ code: statusCode, data: response ?? undefined }),
  };
};

export const isOcsfMethod = (method: string | undefined): boolean => method !== undefined && methods.includes(method);

/** The HTTP request; undefined if the entry says nothing of it. */
export const ocsfHttpRequest = ({ texts }: AuditEntry): object | undefined => {
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

/** Where the request came from: an address if there is one, else the text that stands there. */
export const ocsfSource = ({ texts }: AuditEntry): object => {
  const address = texts.actorIpAddress;
  return address !== undefined && ipVersion(address) !== undefined ? { ip: address } : { name: address ?? 'Unknown' };
};

const severities = { informational: [1, 'Informational'], low: [2, 'Low'], medium: [3, 'Medium'] } as const;
const statuses = { unknown: [0, 'Unknown'], success: [1, 'Success'], failure: [2, 'Failure'] } as const;

interface OcsfGrades {
  readonly severityId: number;
  readonly severity: string;
  readonly statusId: number;
  readonly status: string | undefined;
}

/** Severity and status, by number and name. */
export const ocsfGrades = (entry: AuditEntry, { severity, outcome }: Classification): OcsfGrades => {
  const [severityId, severityName] = severities[severity];
  const [statusId, status] = outcome === 'other' ? [99, entry.texts.actionResult] : statuses[outcome];
  return { severityId, severity: severityName, statusId, status };
};

/** The values that analysts pivot on, each with the attribute that holds it. */
export const ocsfObservables = ({ texts }: AuditEntry): object[] | undefined => {
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

/** Why it failed, in the words of the API's first error. */
export const ocsfStatusDetail = ({ response }: AuditEntry): string | undefined => {
  const errors = member(response, 'errors');
  return Array.isArray(errors) ? textMember(errors[0], 'message') : undefined;
};
