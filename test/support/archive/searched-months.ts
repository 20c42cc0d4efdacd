import type { Pool } from 'pg';
import type { Lease } from '../../../src/ingest/planning/source.ts';
import { addSources, commitAll, entryText, newSource, T0 } from '../postgres/store-fixture.ts';
import { newAccountSource } from '../sync/account-source.ts';

const months = [Date.UTC(2024, 0, 3), Date.UTC(2024, 0, 31, 23, 59), Date.UTC(2024, 1, 1), Date.UTC(2024, 1, 5), T0];
const sources = ['q', 'r', 'a', 'b'] as const;
const organizationOf: Readonly<Record<string, string>> = { a: 'q', b: 'r' };

const values = {
  email: ['mira@example.com', 'Mira@Example.com', 'mira.n@example.com', 'tom_50%@example.com', 'ÄNNE@example.com'],
  token: ['ci-deploy', 'CI-Deploy', 'ci', `long-${'x'.repeat(700)}`, `Long-${'X'.repeat(700)}`],
  action: ['create', 'Create', 'delete', 'view', 'rotate%key'],
  result: ['success', 'Success', 'failure'],
  address: ['192.0.2.7', '192.0.2.77', '198.51.100.1', '2001:db8::1', '2001:DB8:0::1'],
  agent: ['curl/8', 'Terraform/1.5 (x)', 'terraform', 'Mozilla 50%_', 'agent "K\u0130\u0131\u212a" \\ x'],
  uri: ['/accounts/1/dns', '/accounts/1', '/Accounts/2/dns', '/zones/50%'],
  zone: ['example.com', 'Example.com', 'other.example'],
} as const;

const queries: readonly Readonly<Record<string, string>>[] = [
  {},
  { since: '2024-01-03T00:00:00.000005Z' },
  { before: '2024-02-01' },
  { since: '2024-01-31T23:59:00Z', before: '2024-02-01T00:00:00.000003Z' },
  { organization: 'q' },
  { organization: 'r', account: 'b' },
  { account: 'a' },
  { zone: 'EXAMPLE.com' },
  { zone: 'z-1' },
  { actor: 'MIRA@example.com' },
  { actor: 'mira*' },
  { actor: 'änne@example.com' },
  { actor: 'ip:192.0.2.0/24' },
  { actor: 'ip:2001:db8::1' },
  { actor: '192.0.2.7*' },
  { actor: 'token:CI-DEPLOY' },
  { actor: `token:long-${'X'.repeat(700)}` },
  { actor: 'ci*' },
  { actor: 'id:user-1' },
  { action: 'CREATE' },
  { action: 'rotate%key' },
  { result: 'SUCCESS' },
  { product: 'dns' },
  { resource_type: 'RECORD' },
  { resource: 'r-1' },
  { ray: 'ray-3' },
  { text: 'terraform' },
  { text: '50%' },
  { text: 'ki\u0131' },
  { text: 'K' },
  { text: 'ünique' },
  { text: '"' },
  { defects: 'true' },
  { changed: 'true' },
  { changed: 'true', actor: 'mira*' },
  { q: '-action:view,create status:4xx' },
  { q: '-text:terraform' },
  { q: 'text:terraform,curl -text:"50%"' },
  { q: 'uri:/accounts/* -agent:*x*' },
  { q: '-email:mira*' },
  { q: 'method:get id:q*' },
  { q: '-zone:example.com actor_type:user' },
  { q: 'ip:192.0.2.7,198.51.100.0/24 -organization:r' },
  { action: 'delete', result: 'failure', since: '2024-01-01' },
  { actor: 'none@example.com' },
];

/** Searches with every kind of filter, and one of each query line that only a seed has. */
export const searchesOf = (random: () => number): readonly Readonly<Record<string, string>>[] => {
  const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)] as T;
  const line = [
    `${pick(['', '-'])}email:${pick(['mira*', 'MIRA@example.com', 'TOM_50%*'])}`,
    `${pick(['', '-'])}action:${pick(['create', 'rotate*', 'delete,view'])}`,
    `${pick(['', '-'])}${pick(['status:4xx', 'ray:ray*', 'token:ci*', 'resource:r-1*', 'agent:*50%*', 'curl'])}`,
  ].join(' ');
  return [...queries, { q: line }, { q: line, organization: pick(['q', 'r']) }];
};

/** Commits pages of organizations and accounts, whose events fill every column, in old and young months in no order. */
export const createSearchedMonths = async (pool: Pool, random: () => number) => {
  const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)] as T;
  const orNone = <T>(all: readonly T[]): T | undefined => (random() < 0.2 ? undefined : pick(all));
  await addSources(pool, ['q', 'r']);
  const leases = new Map<string, Lease>();
  let entries = 0;
  const entry = (source: string): string => {
    entries += 1;
    const time = pick(months) + Math.floor(random() * 8);
    const action = { type: orNone(values.action), result: orNone(values.result) };
    const fraction = pick(['000', '001', '005']);
    return entryText(`${source}-${entries}`, time, {
      action: { ...action, time: `${new Date(time).toISOString().slice(0, -1)}${fraction}Z` },
      actor: {
        id: pick(['user-1', 'user-2']),
        email: orNone(values.email),
        ip_address: orNone(values.address),
        token_id: orNone(['tok-1', 'tok-2']),
        token_name: orNone(values.token),
        type: orNone(['user', 'account', 'System']),
        context: orNone(['dash', 'api_token']),
      },
      resource: {
        id: pick(['r-1', 'r-11', 'R-1']),
        product: pick(['dns', 'DNS']),
        type: pick(['record', 'Record', 'zone']),
      },
      raw: {
        cf_ray_id: `ray-${entries % 7}`,
        method: orNone(['GET', 'post', 'DELETE']),
        uri: orNone(values.uri),
        status_code: pick([200, 403, 404, 500, 'no number']),
        user_agent: orNone(values.agent),
      },
      note: orNone(['Ünique \u2028', '\u0000', 'plain']),
      ...(source in organizationOf && {
        account: { id: source, name: `Name of ${source}` },
        zone: { id: pick(['z-1', 'z-2']), name: pick(values.zone) },
      }),
    });
  };
  return async (pages: number): Promise<void> => {
    for (let page = 0; page < pages; page += 1) {
      const source = pick(sources);
      const organization = organizationOf[source];
      const lease =
        leases.get(source) ??
        (await (organization === undefined ? newSource(pool, source) : newAccountSource(pool, source, organization)));
      const texts = Array.from({ length: 1 + Math.floor(random() * 12) }, () => entry(source));
      // Some come again with other content.
      const again = texts.filter(() => random() < 0.1).map((text) => `${text.slice(0, -1)}, "later": ${random()}}`);
      const [committed, more] = await commitAll(pool, lease, again.length === 0 ? [texts] : [texts, again]);
      if (committed !== undefined) leases.set(source, (more ?? committed).lease);
    }
  };
};
