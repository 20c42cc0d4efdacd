/** The id of the collector's own token, as the tests have it in `collector_tokens` and the placeholder of the Sigma rule. */
export const COLLECTOR_TOKEN = '5cf1d3b2a0e94f7788c1b2a3d4e5f607';
const ORGANIZATION = '019c4f65e7607d8c9f6f6b58aa3aff50';
const ACCOUNT = '4bb334f7c94c4a29a045f03944f072e5';

type Part = Readonly<Record<string, unknown>>;

/** What an attack, or something harmless that looks like one, leaves in the log. */
export interface Deed {
  readonly id: string;
  readonly text: string;
  /** Exactly these detections find it. */
  readonly found: readonly string[];
}

interface Wording {
  readonly action?: Part;
  readonly actor?: Part;
  readonly raw?: Part;
  readonly resource?: Part;
}

/** An entry of the form that Cloudflare documents, of an actor who does nothing else. */
export const deedEntry = (id: string, timeMs: number, { action, actor, raw, resource }: Wording): string =>
  JSON.stringify({
    id,
    action: {
      description: 'Something',
      result: 'success',
      time: new Date(timeMs).toISOString(),
      type: 'update',
      ...action,
    },
    actor: { id: `mallory of ${id}`, email: 'mallory@example.com', ip_address: '203.0.113.66', type: 'user', ...actor },
    organization: { id: ORGANIZATION },
    raw: { cf_ray_id: '8e9b1f1d0a1c2d3e', method: 'PUT', status_code: 200, uri: '/x', user_agent: 'curl/8', ...raw },
    resource: { id: 'r1', product: 'p', request: {}, response: {}, scope: 'organizations', type: 't', ...resource },
  });

const api = (method: string, path: string, more: Part = {}) => ({ method, uri: `/client/v4${path}`, ...more });
const type = (name: string, result = 'success') => ({ type: name, result });
const token = ['api_token_changed'];
const sso = ['sso_or_mfa_changed'];
const wide = ['api_token_changed', 'api_token_wide_scope'];
const unprotected = ['protection_removed'];
const records = ['dns_records_deleted'];
const worker = ['worker_secret_or_route_changed'];
const member = ['member_added'];
const scim = ['scim_changed'];
const superAdministrator = ['super_administrator_added'];
const orgMembers = `/organizations/${ORGANIZATION}/members`;
const invitation = { member: { user: { email: 'eve@example.net' } } };
const scope = (resource: string) => ({
  policies: [{ effect: 'allow', resources: { [`com.cloudflare.api.${resource}`]: '*' } }],
});
const role = (name: string) => ({ result: { id: 'm1', roles: [{ id: '33666b9c', name }] } });

/** Name, wording, and who finds it. One row a way. */
// biome-ignore format: a table
const single: readonly (readonly [string, Wording, readonly string[]])[] = [
  // An API token created, rolled, deleted; each known by another part of the entry.
  ['token created, by path', { action: type('create'), raw: api('POST', '/user/tokens') }, token],
  ['token rolled, by path', { raw: api('PUT', `/accounts/${ACCOUNT}/tokens/t1/value`) }, token],
  ['token deleted, by path with a query, whole URL', { action: type('delete'), raw: { method: 'DELETE', uri: `https://api.cloudflare.com/client/v4/accounts/${ACCOUNT}/tokens/t1?x=1` } }, token],
  ['token rolled, by type alone', { action: type('rotate'), raw: { method: null, uri: null }, resource: { type: 'API-Tokens' } }, token],
  ['token deleted, by product alone', { action: type('delete'), raw: {}, resource: { product: 'tokens' } }, token],
  ['token changed, by a capital type alone', { resource: { type: 'Tokens' } }, token],
  ['key changed, by description alone', { action: { description: 'Change Global API Key' } }, token],
  ['token created, result unknown', { action: type('create', 'maybe'), raw: api('POST', '/user/tokens') }, token],
  ['token created, upper case', { action: type('CREATE', 'SUCCESS'), resource: { type: 'API_TOKEN' } }, token],
  // Members.
  ['organization member without a role', { action: type('create'), raw: api('POST', orgMembers), resource: { request: invitation } }, [...member, ...superAdministrator]],
  ['organization member with a harmless role', { action: type('create'), raw: api('POST', orgMembers), resource: { request: { ...invitation, roles: ['Billing'] } } }, member],
  ['account member made super administrator', { action: { ...type('create'), description: 'Add Member' }, raw: api('POST', `/accounts/${ACCOUNT}/members`), resource: { request: { roles: ['33666b9c'] }, response: role('Super Administrator - All Privileges') } }, [...member, ...superAdministrator]],
  ['account member made super administrator by the id of a role', { raw: api('PUT', `/accounts/${ACCOUNT}/members/m1`), resource: { request: { roles: [{ id: '33666b9c79b9a5273fc7344ff42f953d' }] } } }, superAdministrator],
  ['account member, another role', { action: type('create'), raw: api('POST', `/accounts/${ACCOUNT}/members`), resource: { response: role('Billing') } }, member],
  ['member promoted', { raw: api('PUT', `/accounts/${ACCOUNT}/members/m1`), resource: { request: { roles: ['Organization super-administrator'] } } }, superAdministrator],
  ['member of a group', { action: type('invent'), raw: api('POST', `/accounts/${ACCOUNT}/iam/user_groups/g1/members`) }, member],
  ['invite, by type alone', { action: type('create'), resource: { type: 'invites' } }, member],
  ['super administrator removed', { action: type('delete'), raw: api('DELETE', `${orgMembers}/m1`), resource: { response: role('Super Administrator') } }, []],
  // SCIM.
  ['SCIM user created, by description alone', { action: { ...type('create'), description: 'Create SCIM User' } }, [...member, ...scim]],
  ['SCIM user created, by path', { action: type('provision'), raw: api('POST', `/accounts/${ACCOUNT}/scim/v2/Users?x=1`) }, [...member, ...scim]],
  ['SCIM user deleted, by type alone', { action: type('delete'), raw: {}, resource: { type: 'scim_user' } }, scim],
  ['SCIM group changed, by description alone', { action: { description: 'Update SCIM Group' } }, scim],
  ['SCIM group not created', { action: type('create', 'failure'), raw: api('POST', `/accounts/${ACCOUNT}/scim/v2/Groups`) }, []],
  // SSO and MFA.
  ['SSO connector deleted', { action: type('delete'), raw: api('DELETE', `/accounts/${ACCOUNT}/sso_connectors/s1`) }, sso],
  ['identity provider changed', { raw: api('PUT', `/accounts/${ACCOUNT}/access/identity_providers/i1`) }, sso],
  ['second factor no longer demanded', { raw: api('PUT', `/accounts/${ACCOUNT}`), resource: { request: { settings: { enforce_twofactor: false } } } }, sso],
  ['second factor of a user turned off', { action: type('delete'), raw: api('DELETE', '/user/two_factor_authentication') }, sso],
  ['SSO, by description alone', { action: { description: 'Disable SSO' } }, sso],
  ['two factors, by type alone', { resource: { type: 'two-factor' } }, sso],
  // Staff.
  ['staff', { actor: { type: 'Cloudflare_admin' } }, ['cloudflare_staff']],
  ['staff, refused', { action: type('view', 'failure'), actor: { type: 'cloudflare-admin' } }, ['cloudflare_staff']],
  // The collector's own token.
  ['own token used to write', { action: type('create'), actor: { token_id: COLLECTOR_TOKEN } }, ['collector_token']],
  ['own token rolled', { raw: api('PUT', `/user/tokens/${COLLECTOR_TOKEN}/value`) }, [...token, 'collector_token']],
  ['own token not deleted', { action: type('delete', 'failure'), raw: api('DELETE', `/user/tokens/${COLLECTOR_TOKEN}`, { status_code: 403 }) }, ['collector_token']],
  ['own token, by resource alone', { resource: { id: COLLECTOR_TOKEN } }, ['collector_token']],
  // A token that may do much.
  ['token for all accounts', { action: type('create'), raw: api('POST', '/user/tokens'), resource: { request: scope('account.*') } }, wide],
  ['token changed to all zones, by the answer', { raw: api('PUT', `/accounts/${ACCOUNT}/tokens/t1`), resource: { response: { result: scope('account.zone.*') } } }, wide],
  ['token that may make tokens', { action: type('create'), resource: { type: 'api_token', request: { policies: [{ permission_groups: [{ name: 'API Tokens Write' }] }] } } }, wide],
  ['token for one account', { action: type('create'), raw: api('POST', '/user/tokens'), resource: { request: scope(`account.${ACCOUNT}`) } }, token],
  ['token for all accounts deleted', { action: type('delete'), raw: api('DELETE', '/user/tokens/t1'), resource: { response: { result: scope('account.*') } } }, token],
  ['all zones, but no token', { resource: { request: scope('account.zone.*') } }, []],
  // What protects is removed.
  ['Access application deleted, by path', { action: type('delete'), raw: api('DELETE', `/accounts/${ACCOUNT}/access/apps/a1`) }, unprotected],
  ['Access policy deleted, by product and type', { action: type('delete'), resource: { product: 'Access', type: 'policy' } }, unprotected],
  ['rule of a ruleset deleted, by path', { raw: api('DELETE', '/zones/z1/rulesets/s1/rules/r1') }, unprotected],
  ['firewall rule deleted, by type alone', { action: type('delete'), raw: {}, resource: { type: 'Firewall-Rule' } }, unprotected],
  ['WAF package deleted, by product alone', { action: type('delete'), raw: {}, resource: { product: 'waf' } }, unprotected],
  ['Gateway rule deleted, by description alone', { action: { ...type('delete'), description: 'Delete Gateway Rule' } }, unprotected],
  ['Gateway rule not deleted', { action: type('delete'), raw: api('DELETE', `/accounts/${ACCOUNT}/gateway/rules/g1`, { status_code: 403 }) }, []],
  ['firewall rule changed', { raw: api('PUT', '/zones/z1/firewall/rules/f1') }, []],
  ['access to nothing in particular deleted', { action: type('delete'), resource: { product: 'access', type: 'bookmark' } }, []],
  // DNS records, several with one request.
  ['DNS records deleted in a batch', { action: type('create'), raw: api('POST', '/zones/z1/dns_records/batch'), resource: { request: { deletes: [{ id: 'd1' }, { id: 'd2' }], posts: [] } } }, records],
  ['zone deleted', { action: type('delete'), raw: api('DELETE', '/zones/z1'), resource: { type: 'zone' } }, records],
  ['zone deleted, by description alone', { action: { ...type('delete'), description: 'Zone Delete' } }, records],
  ['batch that deletes nothing', { raw: api('POST', '/zones/z1/dns_records/batch'), resource: { request: { deletes: [], posts: [{ type: 'A' }] } } }, []],
  ['batch that failed', { raw: api('POST', '/zones/z1/dns_records/batch', { status_code: 400 }), resource: { request: { deletes: [{ id: 'd1' }] } } }, []],
  ['DNS record deleted', { action: type('delete'), raw: api('DELETE', '/zones/z1/dns_records/d1'), resource: { type: 'dns_record' } }, []],
  // Workers.
  ['secret of a Worker set', { raw: api('PUT', `/accounts/${ACCOUNT}/workers/scripts/w1/secrets`) }, worker],
  ['secret of a Worker deleted, by description alone', { action: { ...type('delete'), description: 'Delete Worker Secret' } }, worker],
  ['route of a Worker changed', { raw: api('PUT', '/zones/z1/workers/routes/w1') }, worker],
  ['route of a Worker, by type and product', { action: type('create'), resource: { product: 'Workers', type: 'route' } }, worker],
  ['Worker uploaded', { raw: api('PUT', `/accounts/${ACCOUNT}/workers/scripts/w1`) }, []],
  ['route of something else', { raw: api('POST', `/accounts/${ACCOUNT}/magic/routes`) }, []],
  // Nothing of it.
  ['token not created', { action: type('create', 'failure'), raw: api('POST', '/user/tokens', { status_code: 500 }) }, []],
  ['token not created, by status alone', { action: type('create', ''), raw: api('POST', '/user/tokens', { status_code: 403 }) }, []],
  ['token looked at', { action: type('View'), raw: api('GET', '/user/tokens/t1') }, []],
  ['words in the wrong places', { actor: { email: 'super administrator, api token, sso' }, raw: api('PUT', '/zones/z1?next=/user/tokens', { user_agent: 'api_token sso member' }), resource: { id: 'api_token', request: { name: 'super administrator, sso' } } }, []],
  ['parts of words', { action: { description: 'Processor of lessons and associations; capital tokenizer' }, raw: api('PUT', '/zones/z1/tokenstore/associations'), resource: { type: 'ca_pi_tokens_x', product: 'capi tal token' } }, []],
  ['two names are not one', { resource: { type: 'api', product: 'token_bucket' } }, []],
];

/** One of each, a minute apart from `fromMs` on. */
export const singleDeeds = (fromMs: number): readonly Deed[] =>
  single.map(([id, wording, found], n) => ({ id, text: deedEntry(id, fromMs + n * 60_000, wording), found }));

/** `count` deeds of one person, the same time apart; the `completing`-th (from 1) is found. */
const series = (
  name: string,
  [count, spacingMs, fromMs]: readonly [number, number, number],
  wording: Wording,
  detection?: readonly [number, string],
): readonly Deed[] =>
  Array.from({ length: count }, (_, n) => {
    const id = `${name} ${n + 1}`;
    const actor = { id: name, email: `${name}@example.com`, ...wording.actor };
    return {
      id,
      text: deedEntry(id, fromMs + n * spacingMs, { ...wording, actor }),
      found: detection?.[0] === n + 1 ? [detection[1]] : [],
    };
  });

const deletes: Wording = { action: type('delete'), raw: api('DELETE', '/zones/z1') };
const failures: Wording = { action: type('update', 'failure'), raw: api('PUT', '/zones/z1', { status_code: 500 }) };

/** Bursts, and what falls just short of one. */
export const burstDeeds = (fromMs: number): readonly Deed[] => [
  ...series('sweeper', [25, 5_000, fromMs], deletes, [10, 'delete_burst']),
  ...series('exact', [10, 300_000 / 9, fromMs], deletes, [10, 'delete_burst']),
  ...series('at once', [12, 0, fromMs], { raw: api('DELETE', '/zones/z1') }, [10, 'delete_burst']),
  ...series('patient prober', [10, 300_000 / 9, fromMs], failures, [10, 'failure_burst']),
  ...series('prober', [14, 1_000, fromMs], failures, [10, 'failure_burst']),
  ...series('prober by status', [10, 1_000, fromMs], { raw: api('PUT', '/zones/z1', { status_code: 403 }) }, [
    10,
    'failure_burst',
  ]),
  ...series('again', [10, 1_000, fromMs], deletes, [10, 'delete_burst']),
  ...series('again', [20, 1_000, fromMs + 3_600_000], deletes, [10, 'delete_burst']).map((deed) => renamed(deed)),
  ...series('nine', [9, 1_000, fromMs], deletes),
  ...series('slow', [30, 34_000, fromMs], deletes),
  ...series('refused', [9, 1_000, fromMs], { action: type('delete', 'failure') }),
  ...Array.from({ length: 12 }, (_, n) => series(`one of many ${n}`, [1, 0, fromMs], deletes)).flat(),
];

const renamed = ({ id, text, found }: Deed): Deed => ({
  id: `${id}, later`,
  text: text.replace(`"${id}"`, `"${id}, later"`),
  found,
});

/** Deletes of one person at these times, without an expectation. */
export const deleteAt = (id: string, timeMs: number, actor: string): string =>
  deedEntry(id, timeMs, { ...deletes, actor: { id: actor } });
