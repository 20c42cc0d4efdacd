import type { FeedEvent } from '../../../src/formats/format.ts';
import { nested } from '../../support/sync/defective-entries.ts';
import { storedAccountEvents, storedEvents } from './simulated-events.ts';

const organizationId = '019c4f65e7607d8c9f6f6b58aa3aff50';
const organization = { id: organizationId };
const person = { id: '4bf41d0cf6d9a5b7', email: 'ines.moreau@example.com', ip_address: '203.0.113.7' };
// biome-ignore format: a table
const api = (method: string, path: string, status = 200) => ({
  cf_ray_id: '8e9b1f1d0a1c2d3e', method, status_code: status, uri: `/client/v4${path}`, user_agent: 'curl/8.11.1',
});
const action = (description: string, type: string, result = 'success', time = '2026-09-30T23:59:58Z') => ({
  description,
  result,
  time,
  type,
});
const member = { id: 'm1', status: 'accepted', user: { id: 'u2', email: 'oskar.petrov@example.com' } };
const answer = (result: unknown) => ({ success: true, errors: [], messages: [], result });

// Members named as formats name their fields, or with a dot, are no part of what is mapped.
const entries: Readonly<Record<string, unknown>> = {
  'member added in the dashboard': {
    id: '00000000000000000000000000000001',
    action: action('Add Member', 'create'),
    actor: { ...person, context: 'dash', type: 'user' },
    organization,
    raw: api('POST', `/organizations/${organizationId}/members`),
    resource: {
      id: 'm1',
      product: 'members',
      request: { email: 'oskar.petrov@example.com', roles: ['Administrator'] },
      response: answer(member),
      scope: 'organizations',
      type: 'member',
    },
  },
  'member updated by a token over IPv6': {
    id: '00000000000000000000000000000002',
    action: action('Update Member', 'update', 'success', '2026-09-30T23:59:58.123456Z'),
    actor: {
      ...person,
      ip_address: '2001:db8::1',
      context: 'api_token',
      token_id: 't1',
      token_name: 'terraform-3',
      type: 'user',
    },
    organization,
    raw: api('PUT', '/organizations/o/members/m1?dry_run=false'),
    resource: { id: 'm1', product: 'members', request: {}, response: answer(member), scope: {}, type: 'member' },
  },
  'member removed': {
    id: '00000000000000000000000000000003',
    action: action('Remove Member', 'delete'),
    actor: { ...person, context: 'api_key', type: 'user' },
    organization,
    raw: api('DELETE', '/organizations/o/members/m1'),
    resource: { id: 'm1', product: 'members', scope: 'organizations', type: 'member' },
  },
  'account not created, older name of the Ray id': {
    id: '00000000000000000000000000000004',
    action: action('Create Account', 'create', 'failure'),
    actor: { ...person, context: 'dash', type: 'user' },
    organization,
    raw: {
      cf_rayid: '8e9b',
      method: 'POST',
      status_code: 500,
      uri: 'https://api.cloudflare.com:443/client/v4/accounts?x=1',
    },
    resource: {
      product: 'accounts',
      request: { name: 'Account 7' },
      response: { success: false, errors: [{ code: 1001, message: 'quota exceeded' }] },
      type: 'account',
    },
  },
  'organization flags, by PATCH': {
    id: '00000000000000000000000000000005',
    action: action('Update Organization Flags', 'update'),
    actor: { ...person, context: 'oauth', token_id: 't2', type: 'user' },
    organization,
    raw: api('PATCH', '/organizations/o/flags'),
    resource: {
      id: 'r5',
      product: 'organizations',
      request: { flags: { account_mobility: 'enabled' } },
      type: 'tenant_flags',
    },
  },
  'billing viewed by Cloudflare staff': {
    id: '00000000000000000000000000000006',
    action: action('View Billing Profile', 'view'),
    actor: { id: 'staff', context: 'dash', type: 'Cloudflare_admin' },
    organization,
    raw: api('GET', '/organizations/o/billing/profile'),
    resource: {
      id: 'r6',
      product: 'billing',
      request: {},
      response: ['ok', { row: 1 }, null],
      scope: 'memberships',
      type: 'billing_profile',
    },
  },
  'words that no document has': {
    id: '00000000000000000000000000000007',
    action: action('Rotate Key', 'rotate', 'partly'),
    actor: { id: 'svc', context: 'mesh', type: 'delegated_service', extra: 1 },
    organization: { id: 'another' },
    raw: { ...api('QUERY', '/keys#there', 99), added: true },
    resource: { id: 'r7', product: 'keys', type: 'key' },
    version: { major: 3 },
    actorEmail: 'at the top',
    'raw.status_code': 7,
  },
  'attacks on line formats': {
    id: '00000000000000000000000000000008',
    action: action(
      'Add|Member\\ =x\r\nCEF:0|Evil|X|1|1|forged|10|src=10.0.0.1',
      'create',
      'failure suser=root\tusrName=root',
    ),
    actor: {
      id: 'a\\',
      email: 'e=mail\\=\n@x\u2028y\u0085\u001b[2Jz',
      ip_address: '10.0.0.1\tsrc=10.9.9.9',
      context: ' lead ',
      token_name: '|pipe|',
      type: 'us|er',
    },
    organization,
    raw: { method: 'PO\tST', uri: '/a b=c|d\\e\nf?g=h', user_agent: 'x suid=0\u0000\u007f' },
    resource: { id: 'r\t8', product: 'p|q', type: 'member\nLEEF:2.0|forged', request: { 'k=\n|\t': 'v\\' } },
  },
  'types other than documented': {
    id: 7_000_001,
    action: { description: ['Add'], result: false, time: 1_700_000_000, type: 5 },
    actor: 'nobody',
    organization: null,
    raw: { status_code: '200', uri: {}, cf_ray_id: 12 },
    resource: { id: 9, scope: 7, request: null, response: 'text' },
  },
};

const texts: Readonly<Record<string, string>> = {
  'NUL and lone surrogates': `{"id":"a\\u0000b","action":{"description":"x\\ud83dy","time":"2026-09-30T01:02:03Z","type":"cr\\u0000eate"},"actor":{"e\\udc00":1,"email":"\\u0000@x"}}`,
  'exact only in the text': `{ "id" : "exact",\r\n "action":{"type":"create","type":"delete","time":"2026-09-30T14:00:00+02:00"},\n"resource":{"request":{"serial":12345678901234567890,"size":1e200000,"__proto__":{"x":1}},"id":"ex"},"__proto__":{"polluted":true}}`,
  'nested too deeply': `{"id":"deep","action":{"time":"2026-09-30T01:02:03Z","type":"update"},"resource":{"type":"account","request":${nested(6000)}}}`,
  'nested deeply': `{"id":"less deep","resource":{"request":${nested(150)}}}`,
  'no object': '"an entry that is a string \\n\\u2028"',
  nothing: 'null',
};

const account = { id: '5d41402abc4b2a76b9719d911017c592', name: 'Web "Shop" | EU' };
const zone = { id: '023e105f4ecef8ad9ca31a8372d0c353', name: 'shop.example' };

const entriesOfAccount: Readonly<Record<string, unknown>> = {
  'record of a zone changed': {
    id: '0000000000000000000000000000000a',
    account,
    action: action('Update DNS Record', 'update'),
    actor: { ...person, context: 'api_token', token_id: 't1', token_name: 'terraform-3', type: 'user' },
    raw: api('PATCH', `/zones/${zone.id}/dns_records/r1`),
    resource: {
      id: 'r1',
      product: 'dns',
      request: { ttl: 60 },
      response: answer({}),
      scope: 'zones',
      type: 'dns_record',
    },
    zone,
  },
  'member of the account added by the system': {
    id: '0000000000000000000000000000000b',
    account,
    action: action('Add Member', 'create'),
    actor: { context: 'dash', type: 'system' },
    raw: api('POST', `/accounts/${account.id}/members`),
    resource: { id: 'm1', product: 'members', response: answer(member), scope: 'accounts', type: 'member' },
  },
  'attack by the names of account and zone': {
    id: '0000000000000000000000000000000c',
    account: { id: 'other', name: 'A\tcn1=9\n=|\\' },
    action: action('Delete zone', 'delete', 'failure'),
    actor: person,
    resource: { id: zone.id, product: 'zones', type: 'policy' },
    zone: { id: 'z"\r\n', name: '\u2028position=7' },
  },
};
const entriesOfLoneAccount: Readonly<Record<string, unknown>> = {
  'sign-in without an account in it': {
    id: '0000000000000000000000000000000d',
    action: action('Login', 'login'),
    actor: { ...person, context: 'dash', type: 'user' },
    resource: { product: 'user', scope: 'user', type: 'user' },
  },
  'account and zone of other types': { id: 'odd', account: 'none', zone: [{ id: 1 }] },
  'sign-in by SSO that failed, of a person unknown': {
    id: '0000000000000000000000000000000e',
    action: action('SSO_LOGIN', 'login', 'failure'),
    actor: { ip_address: '198.51.100.9', context: 'dash', type: 'user' },
    raw: api('POST', '/login/sso', 403),
    resource: { id: 's1', product: 'login', response: ['no'], scope: 'user', type: 'session' },
  },
  'policies of a member, names in the answer': {
    id: '0000000000000000000000000000000f',
    action: action('Update Member', 'update'),
    actor: { ...person, context: 'dash', type: 'user' },
    resource: {
      id: 'm1',
      product: 'members',
      request: { policies: [{ access: 'allow', permission_groups: [{ id: 'p1' }, { id: 'p2' }] }] },
      response: answer({ ...member, policies: [{ permission_groups: [{ id: 'p1', name: 'Super Administrator' }] }] }),
      scope: 'accounts',
      type: 'member',
    },
  },
  'all roles of a member taken': {
    id: '00000000000000000000000000000010',
    action: action('Update Member', 'update'),
    actor: { ...person, context: 'dash', type: 'user' },
    resource: { id: 'm1', product: 'members', request: { roles: [] }, scope: 'accounts', type: 'member' },
  },
  'group created by SCIM': {
    id: '00000000000000000000000000000011',
    action: action('SCIM Create Group', 'create'),
    actor: { context: 'api', type: 'system' },
    resource: { id: 'g1', product: 'iam', request: { displayName: 'Admins' }, scope: 'accounts', type: 'user_group' },
  },
};

const stringified = (some: Readonly<Record<string, unknown>>) => Object.values(some).map((one) => JSON.stringify(one));
const ofOrganization = storedEvents([...stringified(entries), ...Object.values(texts)], organizationId);
const ofAccount = storedAccountEvents(
  stringified(entriesOfAccount),
  { id: account.id, organizationId },
  ofOrganization.length + 1,
);
const ofLoneAccount = storedAccountEvents(
  stringified(entriesOfLoneAccount),
  { id: 'e2fc714c4727ee9395f324cd2e7f331f', organizationId: null },
  ofOrganization.length + ofAccount.length + 1,
);

/** Hand-made entries, ordinary and hostile, as stored: what the golden files show. */
export const sampleEvents: readonly FeedEvent[] = [...ofOrganization, ...ofAccount, ...ofLoneAccount];
