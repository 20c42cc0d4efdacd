import { expect, test } from 'vitest';
import type { FeedEvent } from '../../../src/formats/format.ts';
import { formats } from '../../../src/formats/registry.ts';
import { seed, simulatedEvents, simulatedUserEvents } from './simulated-events.ts';

type Value = string | number;
type Entry = Readonly<Record<'action' | 'resource', Readonly<Record<string, unknown>>>>;

/** Knows no product: each field has one of the values, or, of a list, all. */
interface Rule {
  readonly format: 'ocsf' | 'ecs';
  readonly fields: Readonly<Record<string, Value | { readonly all: readonly Value[] } | readonly Value[]>>;
  /** It counts by this, or says so whom it is about. */
  readonly per?: string;
  /** What it is after, in Cloudflare's words. */
  readonly finds: (entry: Entry) => boolean;
}

const is =
  (action: string, type: RegExp, asks = /(?:)/, result = /(?:)/) =>
  (entry: Entry): boolean =>
    entry.action['type'] === action &&
    type.test(String(entry.resource['type'])) &&
    asks.test(JSON.stringify(entry.resource['request'])) &&
    result.test(String(entry.action['result']));
const [any, member, role, superAdministrator] = [/(?:)/, /^member$/, /"roles"/, /"Super Administrator"/];
const failedSignIn = is('login', any, any, /failure/);
const signIn = is('login', any, any, /success/);
const signInSettings = is('update', /^(sso_connector|identity_provider)$/);
const administratorMade = (entry: Entry): boolean =>
  ['create', 'update'].some((action) => is(action, member, superAdministrator)(entry));

// As rules for Security Lake, and Sigma's for OCSF, ask by class; as Elastic's ask by category.
const rules: Readonly<Record<string, Rule>> = {
  'failed sign-ins': { format: 'ocsf', fields: { class_uid: 3002, status_id: 2 }, finds: failedSignIn },
  'passwords tried for one user': {
    format: 'ocsf',
    fields: { class_uid: 3002, activity_id: 1, status: 'Failure' },
    per: 'actor.user.name',
    finds: failedSignIn,
  },
  'passwords tried from one address': {
    format: 'ocsf',
    fields: { class_uid: 3002, status_id: [2, 99] },
    per: 'src_endpoint.ip',
    finds: failedSignIn,
  },
  'sign-ins': { format: 'ocsf', fields: { type_uid: 300201, status_id: 1 }, per: 'user.name', finds: signIn },
  'failed sign-ins of some weight': {
    format: 'ocsf',
    fields: { class_name: 'Authentication', severity_id: [3, 4, 5] },
    finds: failedSignIn,
  },
  'users created': {
    format: 'ocsf',
    fields: { class_uid: 3001, activity_id: 1, status: 'Success' },
    per: 'user.email_addr',
    finds: is('create', member, any, /success/),
  },
  'users removed': {
    format: 'ocsf',
    fields: { class_uid: 3001, activity_id: 6 },
    per: 'user.uid',
    finds: is('delete', member),
  },
  'privileges assigned': {
    format: 'ocsf',
    fields: { class_uid: 3005, activity_id: 1, status_id: 1 },
    per: 'user.uid',
    finds: is('update', member, role, /success/),
  },
  'the role of an administrator assigned': {
    format: 'ocsf',
    fields: { class_uid: 3005, privileges: 'Super Administrator' },
    per: 'actor.user.uid',
    finds: is('update', member, superAdministrator),
  },
  'new members of the administrators': {
    format: 'ocsf',
    fields: { class_uid: [3001, 3005], 'user.groups.name': 'Super Administrator' },
    finds: administratorMade,
  },
  'credentials created': {
    format: 'ocsf',
    fields: { class_uid: 3004, activity_id: 1, 'entity.type': 'api_token', severity_id: [3, 4, 5] },
    finds: is('create', /^api_token$/),
  },
  'identity providers changed': {
    format: 'ocsf',
    fields: { class_uid: 3004, activity_id: [1, 3, 4], severity_id: [4, 5] },
    finds: signInSettings,
  },
  'records deleted by API': {
    format: 'ocsf',
    fields: { class_uid: 6003, activity_id: 4, 'resources.type': 'dns_record' },
    finds: is('delete', /^dns_record$/),
  },
  'authentications that failed, by address': {
    format: 'ecs',
    fields: { 'event.category': 'authentication', 'event.outcome': 'failure' },
    per: 'source.ip',
    finds: failedSignIn,
  },
  'first sign-ins of a user': {
    format: 'ecs',
    fields: { 'event.category': 'authentication', 'event.type': 'start', 'event.outcome': 'success' },
    per: 'user.name',
    finds: signIn,
  },
  'identities created': {
    format: 'ecs',
    fields: { 'event.category': 'iam', 'event.type': { all: ['user', 'creation'] } },
    per: 'user.target.email',
    finds: is('create', member),
  },
  'identities removed': {
    format: 'ecs',
    fields: { 'event.category': 'iam', 'event.type': { all: ['user', 'deletion'] } },
    per: 'user.target.id',
    finds: is('delete', member),
  },
  'groups of a user changed': {
    format: 'ecs',
    fields: { 'event.category': 'iam', 'event.type': { all: ['group', 'change'] } },
    per: 'user.target.id',
    finds: is('update', member, role),
  },
  'administrators made': {
    format: 'ecs',
    fields: {
      'event.category': 'iam',
      'event.type': ['creation', 'change'],
      'user.target.roles': 'Super Administrator',
    },
    per: 'user.id',
    finds: administratorMade,
  },
  'administration of identities changed': {
    format: 'ecs',
    fields: { 'event.category': 'iam', 'event.type': { all: ['admin', 'change'] }, 'event.severity': 8 },
    finds: signInSettings,
  },
};

const events = [...simulatedEvents(3_000, 0), ...simulatedUserEvents(600, 3_001)];
const documentsOf = (format: 'ocsf' | 'ecs') =>
  new Map<FeedEvent, unknown>(events.map((event) => [event, JSON.parse(formats[format].format(event))]));
const documents = { ocsf: documentsOf('ocsf'), ecs: documentsOf('ecs') };

test.each(Object.entries(rules))(`a rule finds %s, and nothing else (seed ${seed})`, (_, rule) => {
  const found: number[] = [];
  for (const [event, document] of documents[rule.format]) {
    if (!matches(rule, document)) continue;
    found.push(event.position);
    if (rule.per !== undefined) expect(valuesAt(document, rule.per), event.rawText).toHaveLength(1);
  }
  const wanted = events.filter(({ rawText }) => rule.finds(JSON.parse(rawText))).map(({ position }) => position);
  expect(wanted.length).toBeGreaterThan(4);
  expect(found).toEqual(wanted);
});

const matches = ({ fields }: Rule, document: unknown): boolean =>
  Object.entries(fields).every(([path, wanted]) => {
    const values = valuesAt(document, path);
    if (typeof wanted === 'object' && 'all' in wanted) return wanted.all.every((value) => values.includes(value));
    return [wanted].flat().some((value) => values.includes(value));
  });

/** Of each element, where there is a list. */
const valuesAt = (document: unknown, path: string): readonly unknown[] =>
  path
    .split('.')
    .reduce<readonly unknown[]>(
      (parts, key) => parts.flatMap((part) => (part as Record<string, unknown> | null)?.[key] ?? []).flat(),
      [document],
    );
