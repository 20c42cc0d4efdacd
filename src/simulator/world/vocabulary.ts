import { draw, hex8, mix, type Voice } from '../entries/entry-text.ts';

export interface StoryTemplate {
  readonly description: string;
  readonly actionType: 'create' | 'update' | 'delete' | 'login';
  /** Empty for Cloudflare's own acts. */
  readonly method: 'POST' | 'PUT' | 'PATCH' | 'DELETE' | '';
  readonly product: string;
  readonly resourceType: string;
  /** With `{org}`, `{account}` or `{zone}`; a slash at the end: the id of the resource follows. */
  readonly path: string;
  /** JSON text, from three random words. */
  readonly request: (a: number, b: number, c: number) => string;
  /** JSON text of `result`. */
  readonly result: (id: string, b: number, c: number, d: number, time: string) => string;
}

// biome-ignore format: a list
const firstNames = [
  'Amara', 'Björn', 'Chen', 'Dalia', 'Emeka', 'Frida', 'Goran', 'Hana', 'Ines', 'Jonas', 'Kemal', 'Lucía', 'Mira', 'Noor', 'Oskar', 'Priya',
] as const;
// biome-ignore format: a list
const lastNames = [
  'Abiola', 'Bauer', 'Costa', 'Dubois', 'Eriksen', 'Fischer', 'García', 'Haddad', 'Ivanov', 'Jensen', 'Kowalski', 'Lindqvist', 'Moreau', 'Nakamura', 'Okafor', 'Petrov',
] as const;
// biome-ignore format: a list
export const companyNames = [
  'Northwind Traders', 'Contoso Retail', 'Fabrikam Robotics', 'Globex Energy', 'Initech Software', 'Umbra Health', 'Vandelay Imports', 'Wayfarer Travel', 'Soylent Foods', 'Tyrell Optics', 'Hooli Cloud', 'Stark Logistics', 'Acme Aerospace', 'Blue Harbor Bank', 'Cyberdyne Labs', 'Duff Beverages',
] as const;

export const userAgents = [
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Safari/605.1.15',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/136.0.0.0 Safari/537.36',
  'Mozilla/5.0 (X11; Linux x86_64; rv:138.0) Gecko/20100101 Firefox/138.0',
  'Terraform/1.9.8 (+https://www.terraform.io) terraform-provider-cloudflare/5.6.0',
  'cloudflare-go/v4.4.0',
  'Cloudflare/Python 4.2.0',
  'curl/8.11.1',
  'octodns/1.10.0 python-requests/2.32.3',
] as const;

const roles = ['Administrator', 'Super Administrator', 'Audit Logs Viewer', 'Billing', 'DNS', 'Firewall'] as const;
const flagNames = ['account_creation', 'account_mobility', 'sub_org_creation', 'member_management'] as const;

export const role = (word: number): string => roles[word % roles.length] as string;

export const member = (id: string, b: number, c: number, d: number, time: string): string =>
  `{"id":"${id}","status":"${b % 3 === 0 ? 'pending' : 'accepted'}","user":{"id":"${hex8(c)}${hex8(d)}${hex8(b)}${hex8(c ^ d)}","email":"user${c % 9973}@example.com","two_factor_authentication_enabled":${d % 2 === 0}},"roles":[{"id":"${hex8(d)}${hex8(c)}${hex8(c ^ b)}${hex8(b)}","name":"${role(d)}","description":"Can read and edit what this role covers"}],"created_on":"${time}"}`;

const account = (id: string, b: number, _c: number, d: number, time: string): string =>
  `{"id":"${id}","name":"Account ${b % 5000}","type":"${d % 4 === 0 ? 'enterprise' : 'standard'}","settings":{"enforce_twofactor":${b % 2 === 0},"abuse_contact_email":"abuse@example.com","api_access_enabled":${d % 3 === 0}},"managed_by":{"parent_org_name":null},"created_on":"${time}"}`;

export const apiToken = (id: string, b: number, c: number, _d: number, time: string): string =>
  `{"id":"${id}","name":"ci-${hex8(b)}","status":"${c % 5 === 0 ? 'disabled' : 'active'}","issued_on":"${time}","modified_on":"${time}","policies":[{"id":"${hex8(c)}${hex8(b)}","effect":"allow","resources":{"com.cloudflare.api.account.${hex8(b)}${hex8(c)}":"*"},"permission_groups":[{"id":"${hex8(c ^ b)}","name":"Account Settings Read"}]}]}`;

const flags = (_id: string, b: number, c: number, _d: number, time: string): string =>
  `{"meta":{"tenant_flags":{"account_creation":"${b & 1 ? 'enabled' : 'disabled'}","account_deletion":"${b & 2 ? 'enabled' : 'disabled'}","account_migration":"${b & 4 ? 'enabled' : 'disabled'}","account_mobility":"${c & 1 ? 'enabled' : 'disabled'}","sub_org_creation":"${c & 2 ? 'enabled' : 'disabled'}"}},"modified_on":"${time}"}`;

const connector = (id: string, b: number, c: number, d: number, time: string): string =>
  `{"id":"${id}","email_domain":"example.com","enabled":${b % 2 === 0},"verification":{"status":"${c % 4 === 0 ? 'pending' : 'verified'}","code":"cloudflare-dashboard-sso-${hex8(d)}"},"created_on":"${time}","updated_on":"${time}"}`;

export const removed = (id: string): string => `{"id":"${id}"}`;

const alarming = new Set(['member', 'api_token', 'sso_connector', 'identity_provider', 'route', 'account']);

/** Without what detections find: the attack of the demo stands out. */
export const calmed = (voice: Voice): Voice => ({
  ...voice,
  stories: voice.stories.filter(({ resourceType }) => !alarming.has(resourceType)),
  actors: voice.actors.filter((actor) => !actor.includes('cloudflare_admin')),
});

const story = (
  description: string,
  actionType: StoryTemplate['actionType'],
  method: StoryTemplate['method'],
  product: string,
  resourceType: string,
  path: string,
  request: StoryTemplate['request'],
  result: StoryTemplate['result'],
): StoryTemplate => ({ description, actionType, method, product, resourceType, path, request, result });

// What an organization's log has is done through organization-level APIs; what happens in accounts is in theirs.
// biome-ignore format: one story a line
export const storyTemplates: readonly StoryTemplate[] = [
  story('Add Member', 'create', 'POST', 'members', 'member', '/organizations/{org}/members', (a, b) => `{"email":"user${a % 9973}@example.com","roles":["${role(b)}"],"status":"pending"}`, member),
  story('Update Member', 'update', 'PUT', 'members', 'member', '/organizations/{org}/members/', (a) => `{"roles":[{"name":"${role(a)}"}]}`, member),
  story('Remove Member', 'delete', 'DELETE', 'members', 'member', '/organizations/{org}/members/', () => '{}', removed),
  story('Add Account', 'create', 'POST', 'accounts', 'account', '/organizations/{org}/accounts', (a, b) => `{"name":"Account ${b % 5000}","type":"standard","unit":{"id":"${hex8(a)}${hex8(b)}"}}`, account),
  story('Move Account', 'update', 'PUT', 'accounts', 'account', '/organizations/{org}/accounts/', (a, b, c) => `{"destination_organization_id":"${hex8(a)}${hex8(b)}${hex8(c)}${hex8(a ^ c)}"}`, account),
  story('Remove Account', 'delete', 'DELETE', 'accounts', 'account', '/organizations/{org}/accounts/', () => '{}', removed),
  story('Update Organization', 'update', 'PUT', 'organizations', 'organization', '/organizations/{org}', (a) => `{"name":"Organization ${a % 1000}"}`, flags),
  story('Update Organization Profile', 'update', 'PUT', 'organizations', 'profile', '/organizations/{org}/profile', (a, b) => `{"business_address":"${1 + (a % 400)} Harbour Street, 10115 Berlin","business_email":"it@example.com","business_name":"Organization ${b % 1000} Ltd","business_phone":"+49 30 555${b % 10_000}","external_metadata":"cost-center-${a % 97}"}`, () => 'null'),
  story('Update Organization Flags', 'update', 'PATCH', 'organizations', 'tenant_flags', '/organizations/{org}/flags', (a, b) => `{"flags":{"${flagNames[a % 4]}":"${b & 1 ? 'enabled' : 'disabled'}"}}`, flags),
  story('Create Sub-Organization', 'create', 'POST', 'organizations', 'organization', '/organizations', (a) => `{"name":"Team ${a % 1000}","parent":{"id":"{org}"}}`, flags),
  story('Share Managed Ruleset', 'create', 'POST', 'resource_sharing', 'share', '/organizations/{org}/shares', (a, b) => `{"name":"waf-${hex8(a)}","recipients":[{"organization_id":"{org}"}],"resources":[{"resource_type":"custom-ruleset","resource_id":"${hex8(b)}${hex8(a)}","meta":{}}]}`, account),
  story('Update SSO Connector', 'update', 'PATCH', 'sso', 'sso_connector', '/organizations/{org}/sso_connectors/', (a) => `{"enabled":${a % 2 === 0},"use_fedramp_language":false}`, connector),
];

/** From the ranges for documentation, either version. */
export const ipText = (bits: number): string =>
  (bits & 7) === 0
    ? `2001:db8:${(bits >>> 16).toString(16)}:${(bits & 0xffff).toString(16)}::1`
    : `${bits & 8 ? '203.0.113' : '198.51.100'}.${(bits >>> 8) & 255}`;

/** The `n`-th actor of the key. `isStrange`: with undocumented values. */
function personText(key: number, n: number, isStrange: boolean): string {
  // Four actors in a row are one person, in several contexts.
  const person = draw(key, 1000 + (n >>> 2));
  const bits = draw(key, 2000 + n);
  const id = `${hex8(person)}${hex8(mix(person))}${hex8(person ^ key)}${hex8(mix(person + 1))}`;
  const email = `${firstNames[person & 15]}.${lastNames[(person >>> 4) & 15]}${person % 90}@example.com`.toLowerCase();
  const ip = ipText(bits);
  if (isStrange) {
    const context = n % 2 === 0 ? 'api' : 'dash';
    const type = n % 2 === 0 ? 'user' : 'delegated_service';
    return `{"id":"${id}","context":"${context}","email":"${email}","ip_address":"${ip}","type":"${type}"}`;
  }
  const hasToken = bits % 3 === 0;
  const context = hasToken ? (bits % 2 === 0 ? 'api_token' : 'oauth') : bits % 5 === 0 ? 'api_key' : 'dash';
  const type = bits % 31 === 0 ? 'cloudflare_admin' : 'user';
  const token = hasToken ? `,"token_id":"${hex8(bits)}${hex8(person)}","token_name":"terraform-${bits % 17}"` : '';
  return `{"id":"${id}","context":"${context}","email":"${email}","ip_address":"${ip}"${token},"type":"${type}"}`;
}

export const people = (key: number, count: number): string[] =>
  Array.from({ length: count }, (_, n) => personText(key, n, false));

export const strangePeople = (key: number): string[] => Array.from({ length: 8 }, (_, n) => personText(key, n, true));
