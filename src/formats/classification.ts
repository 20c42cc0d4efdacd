import { type AuditEntry, member, textMember } from './audit-entry.ts';

/** `unknown` if the entry does not say, `other` for an undocumented word. */
export type ActionKind = 'create' | 'view' | 'update' | 'delete' | 'login' | 'unknown' | 'other';
type Outcome = 'success' | 'failure' | 'unknown' | 'other';
/**
 * As far as formats tell apart. `access`: what gives access, as a token or a role; `sign_in`: what signs people in; `entity`: other
 * parts of identity management.
 */
export type Subject = 'user' | 'group' | 'organization' | 'policy' | 'access' | 'sign_in' | 'entity' | 'other';
type Severity = 'informational' | 'low' | 'medium' | 'high';
export interface Classification {
  readonly action: ActionKind;
  readonly outcome: Outcome;
  readonly subject: Subject;
  /** Whom a change of a user or member is about; undefined if the entry does not say. */
  readonly target: TargetUser | undefined;
  readonly severity: Severity;
}

export interface TargetUser {
  /** Of the user if the response has it, else of the membership. */
  readonly id: string | undefined;
  readonly membershipId: string | undefined;
  readonly email: string | undefined;
  /** That the request gives the user, by name if the entry has it, else by id; undefined if it asks for none. */
  readonly roles: readonly string[] | undefined;
}

const actions: readonly string[] = ['create', 'view', 'update', 'delete', 'login'] satisfies ActionKind[];
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
  role: 'access',
  permission_group: 'access',
  resource_group: 'access',
  token: 'access',
  api_token: 'access',
  api_key: 'access',
  service_token: 'access',
  sso_connector: 'sign_in',
  identity_provider: 'sign_in',
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

/** Ignores letter case; unknown words become `other`. */
export const classify = (entry: AuditEntry): Classification => {
  const { texts } = entry;
  const action = known<ActionKind>(actions, texts.actionType);
  const outcome = known<Outcome>(outcomes, texts.actionResult);
  const subject = subjectOf(texts.resourceType ?? texts.resourceProduct ?? '');
  const target = subject === 'user' && action !== 'login' ? targetUser(entry) : undefined;
  const kinds = { action, outcome, subject, target };
  return { ...kinds, severity: severityOf(kinds, texts.actorType) };
};

/** By its name, or by the id that Cloudflare's documentation gives. */
const superAdministrator = /super[ _-]?admin|33666b9c79b9a5273fc7344ff42f953d/i;

/** By what it opens: a way in, or a right. */
const severityOf = (
  { action, outcome, subject, target }: Omit<Classification, 'severity'>,
  actorType: string | undefined,
): Severity => {
  const isChange = action !== 'view' && action !== 'login';
  if (isChange && (subject === 'sign_in' || target?.roles?.some((role) => superAdministrator.test(role))))
    return 'high';
  if (isCloudflareStaff(actorType) || action === 'delete') return 'medium';
  if (action === 'login') return outcome === 'failure' ? 'medium' : 'informational';
  if (!isChange) return 'informational';
  return subject === 'user' || subject === 'group' || subject === 'policy' || subject === 'access' ? 'medium' : 'low';
};

/** Acts of Cloudflare's own people on a customer's organization are worth a look. */
const isCloudflareStaff = (actorType: string | undefined): boolean =>
  actorType !== undefined && word(actorType) === 'cloudflare_admin';

const targetUser = ({ texts, request, response }: AuditEntry): TargetUser | undefined => {
  const result = member(response, 'result');
  const user = member(result, 'user');
  const email = textMember(user, 'email') ?? textMember(result, 'email') ?? textMember(request, 'email');
  const membershipId = texts.resourceId;
  const id = textMember(user, 'id') ?? membershipId;
  return id === undefined && email === undefined
    ? undefined
    : { id, membershipId, email, roles: rolesOf(request, result) };
};

/** `roles`, or the permission groups of `policies`, which have replaced them. */
const rolesOf = (request: unknown, result: unknown): readonly string[] | undefined => {
  const asked = grantsIn(request);
  if (asked === undefined) return undefined;
  const names = new Map(
    (grantsIn(result) ?? []).map((grant) => [textMember(grant, 'id'), textMember(grant, 'name')] as const),
  );
  const roles = asked.flatMap((grant) => {
    if (typeof grant === 'string') return [names.get(grant) ?? grant];
    const id = textMember(grant, 'id');
    return textMember(grant, 'name') ?? names.get(id) ?? id ?? [];
  });
  const isReadable = roles.length > 0 || asked.length === 0;
  return isReadable ? [...new Set(roles)].filter((role) => role !== '') : undefined;
};

const grantsIn = (part: unknown): readonly unknown[] | undefined => {
  const [roles, policies] = [member(part, 'roles'), member(part, 'policies')];
  if (!Array.isArray(roles) && !Array.isArray(policies)) return undefined;
  const ofPolicies = listOf(policies).flatMap((policy) => listOf(member(policy, 'permission_groups')));
  return [...listOf(roles), ...ofPolicies];
};

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** An identifier such as `member:create`, at most 130 characters. */
export const eventKind = ({ texts }: AuditEntry): string => {
  const part = (text: string | undefined, otherwise: string): string =>
    (text ?? otherwise).replace(/[^A-Za-z0-9_.-]/g, '_').slice(0, 64);
  return `${part(texts.resourceType ?? texts.resourceProduct, 'entry')}:${part(texts.actionType, 'unknown')}`;
};
