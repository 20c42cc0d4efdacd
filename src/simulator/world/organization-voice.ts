import { draw, hex8, keyOf, mix } from './random.ts';
import { firstNames, lastNames, type StoryTemplate, storyTemplates, userAgents } from './vocabulary.ts';

/** A story template with this organization's ids filled in. */
interface Story extends Omit<StoryTemplate, 'result' | 'path'> {
  readonly uri: string;
  /** True when the id of the resource is appended to the uri. */
  readonly hasId: boolean;
  readonly response: (b: number, c: number, d: number, id: string, time: string) => string;
}

/** What the entries of one organization are made of, worked out once: the same people, the same accounts. */
export interface OrganizationVoice {
  /** Key of everything drawn for this organization. */
  readonly key: number;
  readonly organizationId: string;
  /** JSON text of the member `organization`. */
  readonly organizationText: string;
  /** JSON texts of the member `actor`. */
  readonly actors: readonly string[];
  /** The same with values that no document has. */
  readonly strangeActors: readonly string[];
  readonly agents: readonly string[];
  readonly stories: readonly Story[];
}

const actorCount = 48;

function ipText(bits: number): string {
  return (bits & 7) === 0
    ? `2001:db8:${(bits >>> 16).toString(16)}:${(bits & 0xffff).toString(16)}::1`
    : `${bits & 8 ? '203.0.113' : '198.51.100'}.${(bits >>> 8) & 255}`;
}

function actorText(key: number, n: number, isStrange: boolean): string {
  // A person keeps id and address over several contexts: four actors in a row are the same one.
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

function tell(template: StoryTemplate, organizationId: string, accountId: string): Story {
  const { result, path, request, ...facts } = template;
  const uri = path.replace('{org}', organizationId).replace('{account}', accountId);
  const namesOrganization = request(0, 0, 0).includes('{org}');
  return {
    ...facts,
    uri: `/client/v4${uri}`,
    hasId: uri.endsWith('/'),
    request: namesOrganization ? (a, b, c) => request(a, b, c).replace('{org}', organizationId) : request,
    response: (b, c, d, id, time) => `{"success":true,"errors":[],"messages":[],"result":${result(id, b, c, d, time)}}`,
  };
}

/** The voice of one organization; the same for the same arguments. */
export function organizationVoice(
  seed: number,
  organizationId: string,
  accountIds: readonly string[],
): OrganizationVoice {
  const key = keyOf(organizationId, seed);
  const accounts = accountIds.length > 0 ? accountIds.slice(0, 3) : [hex8(key) + hex8(mix(key))];
  const numbers = Array.from({ length: actorCount }, (_, n) => n);
  return {
    key,
    organizationId,
    organizationText: JSON.stringify({ id: organizationId }),
    actors: numbers.map((n) => actorText(key, n, false)),
    strangeActors: numbers.slice(0, 8).map((n) => actorText(key, n, true)),
    agents: userAgents,
    stories: accounts.flatMap((account) => storyTemplates.map((template) => tell(template, organizationId, account))),
  };
}
