import { type AuditEntry, member, textMember } from './audit-entry.ts';

/** `unknown` if the entry does not say, `other` for an undocumented word. */
export type ActionKind = 'create' | 'view' | 'update' | 'delete' | 'unknown' | 'other';
type Outcome = 'success' | 'failure' | 'unknown' | 'other';
/** As far as formats tell apart. `entity`: other parts of identity management. */
export type Subject = 'user' | 'group' | 'organization' | 'policy' | 'entity' | 'other';
type Severity = 'informational' | 'low' | 'medium';
export type Classification = Readonly<{ action: ActionKind; outcome: Outcome; subject: Subject; severity: Severity }>;
const actions: readonly string[] = ['create', 'view', 'update', 'delete'] satisfies ActionKind[];
const outcomes: readonly string[] = ['success', 'failure'] satisfies Outcome[];

/** Singular, lower case, from Cloudflare's API and documentation: no list of resource types is published. */
const subjects: Readonly<Record<string, Subject>> = {
  member: 'user',
  user: 'user',
  membership: 'user',
  account_member: 'user',
  organization_member: 'user',
  invite: 'user',
  group: 'group',
  user_group: 'group',
  organization: 'organization',
  sub_organization: 'organization',
  tenant: 'organization',
  tenant_flag: 'organization',
  policy: 'policy',
  access_policy: 'policy',
  account: 'entity',
  role: 'entity',
  permission_group: 'entity',
  resource_group: 'entity',
  token: 'entity',
  api_token: 'entity',
  api_key: 'entity',
  service_token: 'entity',
  sso_connector: 'entity',
  identity_provider: 'entity',
};

const word = (text: string): string => text.toLowerCase().replace(/[\s-]+/g, '_');

const subjectOf = (type: string): Subject => {
  const name = word(type).replace(/ies$/, 'y').replace(/s$/, '');
  return Object.hasOwn(subjects, name) ? (subjects[name] as Subject) : 'other';
};

const known = <T extends string>(words: readonly string[], text: string | undefined): T | 'unknown' | 'other' => {
  if (text === undefined) return 'unknown';
  return words.includes(word(text)) ? (word(text) as T) : 'other';
};

const severityOf = (action: ActionKind, actorType: string | undefined): Severity => {
  if (action === 'delete' || isCloudflareStaff(actorType)) return 'medium';
  return action === 'view' ? 'informational' : 'low';
};

/** Acts of Cloudflare's own people on a customer's organization are worth a look. */
const isCloudflareStaff = (actorType: string | undefined): boolean =>
  actorType !== undefined && word(actorType) === 'cloudflare_admin';

/** Ignores letter case; unknown words become `other`. */
export const classify = ({ texts }: AuditEntry): Classification => {
  const action = known<ActionKind>(actions, texts.actionType);
  return {
    action,
    outcome: known<Outcome>(outcomes, texts.actionResult),
    subject: subjectOf(texts.resourceType ?? texts.resourceProduct ?? ''),
    severity: severityOf(action, texts.actorType),
  };
};

export interface TargetUser {
  /** Of the user if the response has it, else of the membership. */
  readonly id: string | undefined;
  readonly membershipId: string | undefined;
  readonly email: string | undefined;
}

/** Whom a change of a user or member is about; undefined if the entry does not say. */
export const targetUser = ({ texts, request, response }: AuditEntry): TargetUser | undefined => {
  const result = member(response, 'result');
  const user = member(result, 'user');
  const email = textMember(user, 'email') ?? textMember(result, 'email') ?? textMember(request, 'email');
  const membershipId = texts.resourceId;
  const id = textMember(user, 'id') ?? membershipId;
  return id === undefined && email === undefined ? undefined : { id, membershipId, email };
};

/** An identifier such as `member:create`, at most 130 characters. */
export const eventKind = ({ texts }: AuditEntry): string => {
  const part = (text: string | undefined, otherwise: string): string =>
    (text ?? otherwise).replace(/[^A-Za-z0-9_.-]/g, '_').slice(0, 64);
  return `${part(texts.resourceType ?? texts.resourceProduct, 'entry')}:${part(texts.actionType, 'unknown')}`;
};
