import { hex8 } from './random.ts';

/** One thing that administrators do: how the audit log tells of it. */
export interface StoryTemplate {
  readonly description: string;
  readonly actionType: 'create' | 'update' | 'delete' | 'view';
  readonly method: 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'GET';
  readonly product: string;
  readonly resourceType: string;
  /** Path with `{org}` and `{account}`; ends with a slash if the id of the resource follows. */
  readonly path: string;
  /** JSON text of the request payload, from three random words. */
  readonly request: (a: number, b: number, c: number) => string;
  /** JSON text of the `result` that the API answered with. */
  readonly result: (id: string, b: number, c: number, d: number, time: string) => string;
}

// biome-ignore format: a list
export const firstNames = [
  'Amara', 'Björn', 'Chen', 'Dalia', 'Emeka', 'Frida', 'Goran', 'Hana', 'Ines', 'Jonas', 'Kemal', 'Lucía', 'Mira', 'Noor', 'Oskar', 'Priya',
] as const;
// biome-ignore format: a list
export const lastNames = [
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

function role(word: number): string {
  return roles[word % roles.length] as string;
}

function member(id: string, b: number, c: number, d: number, time: string): string {
  return `{"id":"${id}","status":"${b % 3 === 0 ? 'pending' : 'accepted'}","user":{"id":"${hex8(c)}${hex8(d)}${hex8(b)}${hex8(c ^ d)}","email":"user${c % 9973}@example.com","two_factor_authentication_enabled":${d % 2 === 0}},"roles":[{"id":"${hex8(d)}${hex8(c)}${hex8(c ^ b)}${hex8(b)}","name":"${role(d)}","description":"Can read and edit what this role covers"}],"created_on":"${time}"}`;
}

function account(id: string, b: number, _c: number, d: number, time: string): string {
  return `{"id":"${id}","name":"Account ${b % 5000}","type":"${d % 4 === 0 ? 'enterprise' : 'standard'}","settings":{"enforce_twofactor":${b % 2 === 0},"abuse_contact_email":"abuse@example.com","api_access_enabled":${d % 3 === 0}},"managed_by":{"parent_org_name":null},"created_on":"${time}"}`;
}

function token(id: string, b: number, c: number, _d: number, time: string): string {
  return `{"id":"${id}","name":"ci-${hex8(b)}","status":"${c % 5 === 0 ? 'disabled' : 'active'}","issued_on":"${time}","modified_on":"${time}","policies":[{"id":"${hex8(c)}${hex8(b)}","effect":"allow","resources":{"com.cloudflare.api.account.${hex8(b)}${hex8(c)}":"*"},"permission_groups":[{"id":"${hex8(c ^ b)}","name":"Account Settings Read"}]}]}`;
}

function flags(_id: string, b: number, c: number, _d: number, time: string): string {
  return `{"meta":{"tenant_flags":{"account_creation":"${b & 1 ? 'enabled' : 'disabled'}","account_deletion":"${b & 2 ? 'enabled' : 'disabled'}","account_migration":"${b & 4 ? 'enabled' : 'disabled'}","account_mobility":"${c & 1 ? 'enabled' : 'disabled'}","sub_org_creation":"${c & 2 ? 'enabled' : 'disabled'}"}},"modified_on":"${time}"}`;
}

const removed = (id: string): string => `{"id":"${id}"}`;

// biome-ignore format: one story a line
export const storyTemplates: readonly StoryTemplate[] = [
  story('Add Member', 'create', 'POST', 'members', 'member', '/organizations/{org}/members', (a, b) => `{"email":"user${a % 9973}@example.com","roles":["${role(b)}"],"status":"pending"}`, member),
  story('Update Member', 'update', 'PUT', 'members', 'member', '/organizations/{org}/members/', (a) => `{"roles":[{"name":"${role(a)}"}]}`, member),
  story('Remove Member', 'delete', 'DELETE', 'members', 'member', '/organizations/{org}/members/', () => '{}', removed),
  story('Create Account', 'create', 'POST', 'accounts', 'account', '/accounts', (a, b) => `{"name":"Account ${b % 5000}","type":"standard","unit":{"id":"${hex8(a)}${hex8(b)}"}}`, account),
  story('Update Account Settings', 'update', 'PUT', 'accounts', 'account', '/accounts/', (a, b) => `{"name":"Account ${b % 5000}","settings":{"enforce_twofactor":${a % 2 === 0}}}`, account),
  story('Move Account', 'update', 'POST', 'accounts', 'account', '/accounts/{account}/move', (a, b, c) => `{"destination_organization_id":"${hex8(a)}${hex8(b)}${hex8(c)}${hex8(a ^ c)}"}`, account),
  story('Delete Account', 'delete', 'DELETE', 'accounts', 'account', '/accounts/', () => '{}', removed),
  story('Create API Token', 'create', 'POST', 'api_tokens', 'api_token', '/accounts/{account}/tokens', (a, b) => `{"name":"ci-${hex8(b)}","not_before":"2026-01-01T00:00:00Z","condition":{"request_ip":{"in":["203.0.113.${a % 256}/32"]}}}`, token),
  story('Roll API Token', 'update', 'PUT', 'api_tokens', 'api_token', '/accounts/{account}/tokens/', () => '{}', token),
  story('Delete API Token', 'delete', 'DELETE', 'api_tokens', 'api_token', '/accounts/{account}/tokens/', () => '{}', removed),
  story('Update Organization', 'update', 'PUT', 'organizations', 'organization', '/organizations/{org}', (a) => `{"name":"Organization ${a % 1000}","profile":{"external_metadata":"cost-center-${a % 97}"}}`, flags),
  story('Update Organization Flags', 'update', 'PATCH', 'organizations', 'tenant_flags', '/organizations/{org}/flags', (a, b) => `{"flags":{"${flagNames[a % 4]}":"${b & 1 ? 'enabled' : 'disabled'}"}}`, flags),
  story('Create Sub-Organization', 'create', 'POST', 'organizations', 'organization', '/organizations', (a) => `{"name":"Team ${a % 1000}","parent":{"id":"{org}"}}`, flags),
  story('Share Managed Ruleset', 'create', 'POST', 'resource_sharing', 'share', '/accounts/{account}/shares', (a, b) => `{"name":"waf-${hex8(a)}","recipients":[{"organization_id":"{org}"}],"resources":[{"resource_type":"custom-ruleset","resource_id":"${hex8(b)}${hex8(a)}","meta":{}}]}`, account),
  story('Update SSO Connector', 'update', 'PATCH', 'sso', 'sso_connector', '/organizations/{org}/sso_connectors/', (a) => `{"enabled":${a % 2 === 0},"use_fedramp_language":false}`, token),
  story('View Billing Profile', 'view', 'GET', 'billing', 'billing_profile', '/organizations/{org}/billing/profile', () => '{}', account),
];

function story(
  description: string,
  actionType: StoryTemplate['actionType'],
  method: StoryTemplate['method'],
  product: string,
  resourceType: string,
  path: string,
  request: StoryTemplate['request'],
  result: StoryTemplate['result'],
): StoryTemplate {
  return { description, actionType, method, product, resourceType, path, request, result };
}
