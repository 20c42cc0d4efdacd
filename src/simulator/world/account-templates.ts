import { answerText, draw, hex8, keyOf, type Story, type Voice } from '../entries/entry-text.ts';
import type { Account, Zone } from './accounts.ts';
import {
  apiToken,
  ipText,
  member,
  people,
  removed,
  role,
  type StoryTemplate,
  strangePeople,
  userAgents,
} from './vocabulary.ts';

export const accountText = ({ id, name }: Pick<Account, 'id' | 'name'>): string => JSON.stringify({ id, name });

function accountToken(key: number, n: number, accountId: string): string {
  const bits = draw(key, 3000 + n);
  const token = `"token_id":"${hex8(bits)}${hex8(bits ^ key)}","token_name":"pipeline-${n}"`;
  return `{"id":"${accountId}","context":"api_token","ip_address":"${ipText(bits)}",${token},"type":"account"}`;
}

// Cloudflare itself: no e-mail address, no address.
function systemActors(key: number): string[] {
  const id = `${hex8(draw(key, 4000))}${hex8(draw(key, 4001))}`;
  return [`{"id":"${id}","context":"api","type":"system"}`, '{"id":"","context":"api","type":"system"}'];
}

function services(key: number): string[] {
  const id = `${hex8(draw(key, 5000))}${hex8(draw(key, 5001))}`;
  return [
    `{"id":"${id}","context":"oauth","ip_address":"203.0.113.9","token_name":"Git integration","type":"delegated_service"}`,
  ];
}

function tell(template: AccountStory, accountId: string, zone: Zone | undefined, tellers: Tellers): Story {
  const { result, path, scope, teller, ...facts } = template;
  const uri = path.replace('{account}', accountId).replace('{zone}', zone?.id ?? '');
  const actors = teller === 'people' ? undefined : tellers[teller];
  return {
    ...facts,
    uri,
    hasId: uri.endsWith('/'),
    scope: JSON.stringify(scope),
    ...(scope === 'zone' && zone !== undefined ? { zone: JSON.stringify({ id: zone.id, name: zone.name }) } : {}),
    ...(actors === undefined ? {} : { actors }),
    response: (b, c, d, id, time) => answerText(result(id, b, c, d, time)),
  };
}

type Tellers = Readonly<Record<Exclude<Teller, 'people'>, readonly string[]>>;

function storiesOf(key: number, id: string, zones: readonly Zone[]): Story[] {
  const tellers: Tellers = { system: systemActors(key), service: services(key) };
  return accountStories.flatMap((template) =>
    template.scope === 'zone'
      ? zones.map((zone) => tell(template, id, zone, tellers))
      : [tell(template, id, undefined, tellers)],
  );
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/** Changes with the account's name only. Made with the first entry that is read: thousands of accounts may have no reader. */
export function accountVoice(seed: number, account: Pick<Account, 'id' | 'name' | 'zones'>): Voice {
  const key = keyOf(`account ${account.id}`, seed);
  const { id, zones } = account;
  const tokens = (): string[] => Array.from({ length: 8 }, (_, n) => accountToken(key, n, id));
  const actors = once(() => [...people(key, 40), ...tokens()]);
  const strangeActors = once(() => strangePeople(key));
  const stories = once(() => storiesOf(key, id, zones));
  return {
    key,
    source: { kind: 'account', id },
    ownerText: accountText(account),
    get actors() {
      return actors();
    },
    get strangeActors() {
      return strangeActors();
    },
    agents: userAgents,
    get stories() {
      return stories();
    },
  };
}

/** People and tokens, Cloudflare itself, or a service that the account let in. */
type Teller = 'people' | 'system' | 'service';

interface AccountStory extends StoryTemplate {
  readonly scope: 'accounts' | 'zone';
  readonly teller: Teller;
}

const record = (id: string, b: number, c: number, d: number, time: string): string =>
  `{"id":"${id}","type":"${d % 3 === 0 ? 'CNAME' : 'A'}","name":"host-${b % 400}.example","content":"192.0.2.${c % 256}","ttl":${d % 2 === 0 ? 1 : 300},"proxied":${c % 2 === 0},"comment":null,"tags":[],"created_on":"${time}","modified_on":"${time}"}`;
const recordRequest = (a: number, b: number): string =>
  `{"type":"A","name":"host-${b % 400}.example","content":"192.0.2.${a % 256}","ttl":300,"proxied":${a % 2 === 0}}`;
const zoneResult = (id: string, b: number, c: number, _d: number, time: string): string =>
  `{"id":"${id}","name":"site-${b % 900}.example","status":"${c % 3 === 0 ? 'pending' : 'active'}","paused":false,"type":"full","name_servers":["ana.ns.cloudflare.com","bob.ns.cloudflare.com"],"plan":{"legacy_id":"enterprise"},"created_on":"${time}","modified_on":"${time}"}`;
const setting = (_id: string, b: number, _c: number, d: number, time: string): string =>
  `{"id":"ssl","value":"${['off', 'flexible', 'full', 'strict'][b % 4]}","editable":true,"modified_on":"${time}","certificate_status":"${d % 2 === 0 ? 'active' : 'none'}"}`;
const script = (_id: string, b: number, c: number, d: number, time: string): string =>
  `{"id":"worker-${b % 60}","etag":"${hex8(c)}${hex8(d)}","handlers":["fetch"],"usage_model":"standard","logpush":false,"compatibility_date":"2026-01-15","startup_time_ms":${c % 90},"created_on":"${time}","modified_on":"${time}"}`;
const application = (id: string, b: number, c: number, d: number, time: string): string =>
  `{"id":"${id}","uid":"${id}","type":"self_hosted","name":"Application ${b % 300}","domain":"app-${c % 300}.example","aud":"${hex8(b)}${hex8(c)}${hex8(d)}","session_duration":"24h","allowed_idps":[],"created_at":"${time}","updated_at":"${time}"}`;
const policy = (id: string, b: number, c: number, _d: number, time: string): string =>
  `{"id":"${id}","name":"Policy ${b % 200}","decision":"${c % 3 === 0 ? 'deny' : 'allow'}","include":[{"email_domain":{"domain":"example.com"}}],"exclude":[],"require":[],"precedence":${c % 9},"created_at":"${time}","updated_at":"${time}"}`;
const provider = (id: string, b: number, c: number): string =>
  `{"id":"${id}","name":"Identity ${b % 20}","type":"${c % 2 === 0 ? 'saml' : 'oidc'}","config":{"issuer_url":"https://idp.example","sign_request":${b % 2 === 0}}}`;
const accountResult = (id: string, b: number, _c: number, d: number, time: string): string =>
  `{"id":"${id}","name":"Account ${b % 5000}","type":"enterprise","settings":{"enforce_twofactor":${b % 2 === 0},"abuse_contact_email":null,"api_access_enabled":${d % 3 === 0 ? 'null' : 'true'}},"created_on":"${time}"}`;
const certificate = (id: string, b: number, c: number, d: number, time: string): string =>
  `{"id":"${id}","type":"universal","hosts":["site-${b % 900}.example"],"status":"${c % 5 === 0 ? 'pending_validation' : 'active'}","certificate_authority":"${d % 2 === 0 ? 'google' : 'lets_encrypt'}","validity_days":90,"issued_on":"${time}"}`;
const bucket = (_id: string, b: number, _c: number, d: number, time: string): string =>
  `{"name":"bucket-${b % 90}","location":"weur","storage_class":"${d % 3 === 0 ? 'InfrequentAccess' : 'Standard'}","creation_date":"${time}"}`;

const story = (
  description: string,
  actionType: StoryTemplate['actionType'],
  method: StoryTemplate['method'],
  product: string,
  resourceType: string,
  path: string,
  scope: AccountStory['scope'],
  request: StoryTemplate['request'],
  result: StoryTemplate['result'],
  teller: Teller = 'people',
): AccountStory => ({ description, actionType, method, product, resourceType, path, scope, request, result, teller });

// biome-ignore format: one story a line
const accountStories: readonly AccountStory[] = [
  story('Create DNS Record', 'create', 'POST', 'dns_records', 'dns_record', '/zones/{zone}/dns_records', 'zone', recordRequest, record),
  story('Update DNS Record', 'update', 'PATCH', 'dns_records', 'dns_record', '/zones/{zone}/dns_records/', 'zone', recordRequest, record),
  story('Delete DNS Record', 'delete', 'DELETE', 'dns_records', 'dns_record', '/zones/{zone}/dns_records/', 'zone', () => '{}', removed),
  story('Create Zone', 'create', 'POST', 'zones', 'zone', '/zones', 'accounts', (a) => `{"name":"site-${a % 900}.example","type":"full"}`, zoneResult),
  story('Update Zone Setting', 'update', 'PATCH', 'zone_settings', 'setting', '/zones/{zone}/settings/ssl', 'zone', (a) => `{"value":"${a % 2 === 0 ? 'strict' : 'full'}"}`, setting),
  story('Purge Cache', 'create', 'POST', 'cache', 'purge_cache', '/zones/{zone}/purge_cache', 'zone', (a) => `{"files":["https://site-${a % 900}.example/app.js"]}`, removed),
  story('Update WAF Rule', 'update', 'PATCH', 'rulesets', 'ruleset_rule', '/zones/{zone}/rulesets/phases/http_request_firewall_custom/rules/', 'zone', (a) => `{"expression":"ip.src.country eq \\"${a % 2 === 0 ? 'T1' : 'XX'}\\"","action":"block","enabled":${a % 3 !== 0}}`, policy),
  story('Upload Worker Script', 'update', 'PUT', 'workers', 'script', '/accounts/{account}/workers/scripts/', 'accounts', (a) => `{"main_module":"index.js","bindings":[{"type":"kv_namespace","name":"KV","namespace_id":"${hex8(a)}"}],"compatibility_date":"2026-01-15"}`, script),
  story('Delete Worker Script', 'delete', 'DELETE', 'workers', 'script', '/accounts/{account}/workers/scripts/', 'accounts', () => '{}', removed),
  story('Create Worker Route', 'create', 'POST', 'workers', 'route', '/zones/{zone}/workers/routes', 'zone', (a) => `{"pattern":"site-${a % 900}.example/*","script":"worker-${a % 60}"}`, script),
  story('Create R2 Bucket', 'create', 'POST', 'r2', 'bucket', '/accounts/{account}/r2/buckets', 'accounts', (a) => `{"name":"bucket-${a % 90}"}`, bucket),
  story('Create Access Application', 'create', 'POST', 'access', 'app', '/accounts/{account}/access/apps', 'accounts', (a, b) => `{"name":"Application ${b % 300}","domain":"app-${a % 300}.example","type":"self_hosted"}`, application),
  story('Update Access Policy', 'update', 'PUT', 'access', 'policy', '/accounts/{account}/access/policies/', 'accounts', (a) => `{"name":"Policy ${a % 200}","decision":"allow","include":[{"email_domain":{"domain":"example.com"}}]}`, policy),
  story('Update Identity Provider', 'update', 'PUT', 'access', 'identity_provider', '/accounts/{account}/access/identity_providers/', 'accounts', (a) => `{"name":"Identity ${a % 20}","type":"saml"}`, provider),
  story('Update Gateway Rule', 'update', 'PUT', 'gateway', 'rule', '/accounts/{account}/gateway/rules/', 'accounts', (a) => `{"name":"Block ${a % 70}","action":"block","enabled":true,"traffic":"any(dns.content_category[*] in {80})"}`, policy),
  story('Update Account Settings', 'update', 'PUT', 'accounts', 'account', '/accounts/{account}', 'accounts', (a, b) => `{"name":"Account ${b % 5000}","settings":{"enforce_twofactor":${a % 2 === 0}}}`, accountResult),
  story('Add Member', 'create', 'POST', 'members', 'member', '/accounts/{account}/members', 'accounts', (a, b) => `{"email":"user${a % 9973}@example.com","roles":["${role(b)}"],"status":"pending"}`, member),
  story('Update Member', 'update', 'PUT', 'members', 'member', '/accounts/{account}/members/', 'accounts', (a) => `{"roles":[{"name":"${role(a)}"}]}`, member),
  story('Remove Member', 'delete', 'DELETE', 'members', 'member', '/accounts/{account}/members/', 'accounts', () => '{}', removed),
  story('Create API Token', 'create', 'POST', 'api_tokens', 'api_token', '/accounts/{account}/tokens', 'accounts', (a, b) => `{"name":"ci-${hex8(b)}","not_before":"2026-01-01T00:00:00Z","condition":{"request_ip":{"in":["203.0.113.${a % 256}/32"]}}}`, apiToken),
  story('Roll API Token', 'update', 'PUT', 'api_tokens', 'api_token', '/accounts/{account}/tokens/', 'accounts', () => '{}', apiToken),
  story('Delete API Token', 'delete', 'DELETE', 'api_tokens', 'api_token', '/accounts/{account}/tokens/', 'accounts', () => '{}', removed),
  story('Renew Certificate', 'update', '', 'ssl', 'certificate_pack', '', 'zone', () => '{}', certificate, 'system'),
  story('Activate Zone', 'update', '', 'zones', 'zone', '', 'zone', () => '{}', zoneResult, 'system'),
  story('Deploy Pages Project', 'create', 'POST', 'pages', 'deployment', '/accounts/{account}/pages/projects/site/deployments', 'accounts', (a) => `{"branch":"main","commit_hash":"${hex8(a)}"}`, script, 'service'),
];
