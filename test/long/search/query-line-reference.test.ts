import type { Pool } from 'pg';
import { expect, test } from 'vitest';
import { readSearch } from '../../../src/search/query/search.ts';
import { openSearchedArchive } from '../../support/archive/searched-archive.ts';
import { commit, entryText, newSource } from '../../support/postgres/store-fixture.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';
import { words } from '../../support/process/words.ts';
import { meets, type Row } from '../../support/search/line-reference.ts';
import { newAccountSource } from '../../support/sync/account-source.ts';

const SEED = 82;
const random = seededRandom(SEED);
const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)] as T;
const longName = `deploy-${'y'.repeat(393)}`;
const longId = `bucket/${'k'.repeat(230)}`;
/** Half of the character would be in the first 200 units of UTF-16. */
const splitId = `${'s'.repeat(199)}\u{1f600}`;
const stored = {
  email: ['mira@example.com', 'Mira@Example.com', 'mira.n@example.com', 'tom_50%@example.com', 'a"b,c@example.com'],
  address: words(`
    192.0.2.7 192.0.2.77 192.0.20.7 198.51.100.128 2001:db8::1 2001:DB8:0:0::1
    2001:0db8:0000:0000:0000:0000:0000:0001 2001:db8:1::9 ::1 ::ffff:192.0.2.7 unknown 192.0.2`),
  tokenId: ['tok-1', 'tok-2', 'TOK-1'],
  tokenName: ['ci-deploy', 'CI-Deploy', 'ci', `${longName}${'a'.repeat(300)}`, `${longName}${'b'.repeat(300)}`],
  actorId: ['user-1', 'user-2', 'USER-1'],
  type: ['user', 'account', 'System'],
  context: ['dash', 'api_token', 'api%token'],
  action: ['create', 'Create', 'delete', 'rotate_key', 'rotate%key', 'view'],
  result: ['success', 'Success', 'failure'],
  product: ['dns', 'DNS', 'r2'],
  resourceType: ['record', 'Record', 'zone'],
  resource: ['r-1', 'r-11', 'R-1', 'r_1', `${longId}/1`, `${longId}/2`, `${splitId}/1`, `${splitId}/2`, 'a\\b'],
  method: ['GET', 'post', 'DELETE'],
  uri: ['/accounts/1/dns', '/accounts/1', '/Accounts/2/dns', '/zones/50%', '*star*', '/zones/1/dns_records/batch?x'],
  agent: ['curl/8', 'Terraform/1.5 (x)', 'terraform', 'Mozilla 50%_', 'a \\ b', 'x "quoted", y'],
  status: [200, 201, 403, 404, 500],
  zone: ['example.com', 'Example.com', 'other.example'],
} as const;

const starred = (text: string): string => `${text.slice(0, 1 + Math.floor(random() * text.length))}*`;
const otherCase = (text: string): string => (random() < 0.5 ? text.toUpperCase() : text.toLowerCase());
const openAtFront = (text: string): string =>
  random() < 0.25 ? `*${text.slice(Math.floor((random() * text.length) / 2))}` : text;
/** As it is stored, in another case, its beginning, or a part of these. */
const near = (all: readonly string[]) => (): string => {
  const text = pick(all);
  return openAtFront(pick([text, otherCase(text), starred(text), starred(otherCase(text))]));
};
const address = (): string => {
  const text = pick(stored.address.filter((one) => /[.:]/.test(one) && one !== '192.0.2'));
  const bits = Math.floor(random() * (text.includes(':') ? 129 : 33));
  return openAtFront(pick([text, `${text}/${bits}`, starred(text), otherCase(text)]));
};

const values: Readonly<Record<string, () => string>> = {
  organization: () => pick(['q', 'r']),
  account: () => pick(['a', 'b']),
  zone: near([...stored.zone, 'z-1']),
  email: near(stored.email),
  ip: address,
  token: near([...stored.tokenId, ...stored.tokenName]),
  actor_id: near(stored.actorId),
  actor: () =>
    pick([
      near(stored.email),
      address,
      near([...stored.tokenName, ...stored.tokenId]),
      near(stored.actorId),
      () => `ip:${address()}`,
      () => `email:${near(stored.email)()}`,
      () => `token:${near(stored.tokenName)()}`,
      () => `id:${near(stored.actorId)()}`,
    ])(),
  actor_type: near(stored.type),
  context: near(stored.context),
  action: near(stored.action),
  result: near(stored.result),
  product: near(stored.product),
  resource_type: near(stored.resourceType),
  resource: near(stored.resource),
  ray: near(['ray-1', 'ray-2']),
  status: () => pick(['200', '4xx', '2XX', '200-403', '>=404', '>403', '<201', '<=403']),
  method: near(stored.method),
  uri: near(stored.uri),
  agent: near(stored.agent),
  id: () => pick(['e-1', 'e-1*', 'bare', 'E-1', 'e-20']),
  effect: () => pick(['create', 'update', 'Delete', 'mixed', 'view']),
  text: () => pick(['mira', 'TERRAFORM', '50%', 'ünique', 'note', '\\u0000', 'quo\\"te', '_', 'ray-3"', '\u2028']),
};

test('a query line finds what a plain reading of each event finds, in the database', async () => {
  await using world = await openSearchedArchive();
  await world.owner.query("select orgtrail_create_partitions('2024-01-01', '2024-02-28')");
  await addEvents(world.owner);
  const { rows } = await world.owner.query<Row>(
    'select e.*, e.raw::text as text from audit_events e order by e.action_time desc, e.position desc',
  );
  const always: readonly Term[] = [
    { field: 'token', isNegated: false, values: [`${longName}${'a'.repeat(300)}`] },
    ...[false, true].flatMap((isNegated) => [
      { field: 'token', isNegated, values: [`${longName}A*`] },
      { field: 'token', isNegated, values: [`${longName}a*`, 'ci'] },
      { field: 'resource', isNegated, values: [`${longId}/1*`] },
      { field: 'resource', isNegated, values: [`${splitId}/1*`] },
    ]),
  ];
  const terms = (field: string) => {
    const term = randomTerm(field);
    return term.values.length === 0 ? [] : [term];
  };
  const lines = Array.from({ length: LINES }, (_, n) => {
    const all = terms(fields[n % fields.length] ?? '');
    while (random() < 0.3) all.push(...terms(pick(fields)));
    return { all, line: all.map(written).join(pick([' ', '  ', '\t'])) };
  });
  for (const term of always) lines.push({ all: [term], line: written(term) });
  const wanted = (all: readonly Term[]) =>
    rows
      .filter((row) =>
        all.every(
          ({ field, isNegated, values: some }) =>
            some.some((text) => meets(row, { field: field === 'id' ? 'entry_id' : field, text })) !== isNegated,
        ),
      )
      .map(({ position }) => Number(position));
  const found = async (line: string) =>
    (await world.source.search(searchOf({ q: line }), { cursor: undefined, limit: 500 })).events.map(
      ({ position }) => position,
    );
  const wrong: string[] = [];
  const compare = async () => {
    for (const { all, line } of lines) {
      const got = await found(line).catch((error) => [String(error)]);
      const right = wanted(all);
      if (JSON.stringify(got) !== JSON.stringify(right))
        wrong.push(
          `${line.replace(/(.)\1{20,}/g, '$1…')}: ${got.length} instead of ${right.length} ${got.length === 1 ? got[0] : ''}`,
        );
    }
  };
  await compare();
  expect(wrong).toEqual([]);
});

const LINES = 110;

const orNone = <T>(all: readonly T[]): T | undefined => (random() < 0.25 ? undefined : pick(all));
const requests = [
  ...[{}, { deletes: [{ id: 'd' }] }, { deletes: [], posts: [{}] }, { patches: [{}], puts: [{}] }],
  ...[{ deletes: ['d'], puts: [{}] }, { name: '"deletes":[{' }],
];
const months = [Date.UTC(2024, 0, 3), Date.UTC(2024, 0, 31, 23, 59, 59), Date.UTC(2024, 1, 1), Date.UTC(2026, 0, 1)];

const entry = (n: number, account: string | undefined): string =>
  entryText(`e-${n}`, 0, {
    action: {
      type: orNone(stored.action),
      result: orNone(stored.result),
      time: new Date(pick(months) + Math.floor(random() * 3)).toISOString(),
    },
    actor: {
      id: orNone(stored.actorId),
      email: orNone(stored.email),
      ip_address: orNone(stored.address),
      token_id: orNone(stored.tokenId),
      token_name: orNone(stored.tokenName),
      type: orNone(stored.type),
      context: orNone(stored.context),
    },
    resource: {
      id: orNone(stored.resource),
      product: orNone(stored.product),
      type: orNone(stored.resourceType),
      request: pick(requests),
    },
    raw: {
      cf_ray_id: `ray-${n % 7}`,
      method: orNone(stored.method),
      uri: orNone(stored.uri),
      status_code: pick([...stored.status, 'none']),
      user_agent: orNone(stored.agent),
    },
    note: pick(['plain', 'Ünique', '50%_x', '\u2028 \u0000', 'quo"te']),
    ...(account !== undefined && {
      account: { id: account, name: `Name of ${account}` },
      zone: { id: pick(['z-1', 'z-2']), name: orNone(stored.zone) },
    }),
  });

const addEvents = async (pool: Pool) => {
  const [q, r] = [await newSource(pool, 'q'), await newSource(pool, 'r')];
  const accounts = [await newAccountSource(pool, 'a', 'q'), await newAccountSource(pool, 'b', null)];
  let n = 0;
  const texts = (account?: string) => Array.from({ length: 90 }, () => entry(n++, account));
  await commit(pool, q, [...texts(), '{"id":"bare"}']);
  await commit(pool, r, texts());
  await commit(pool, accounts[0] as typeof q, texts('a'));
  await commit(pool, accounts[1] as typeof q, texts('b'));
};

const fields = Object.keys(values);

interface Term {
  readonly field: string;
  readonly isNegated: boolean;
  readonly values: readonly string[];
}

const quotedFor = (text: string): string =>
  /[\s,"]/.test(text) || random() < 0.2 ? `"${text.replace(/["\\]/g, '\\$&')}"` : text;

const written = ({ field, isNegated, values: all }: Term): string =>
  `${isNegated ? '-' : ''}${random() < 0.1 ? field.toUpperCase() : field}:${all.map(quotedFor).join(',')}`;

const randomTerm = (field: string): Term => ({
  field,
  isNegated: random() < 0.4,
  values: Array.from({ length: random() < 0.6 ? 1 : 1 + Math.floor(random() * 3) }, () =>
    (values[field] as () => string)(),
  ).filter((value) => value !== '*' && value !== ''),
});

const searchOf = (query: Readonly<Record<string, string>>) => {
  const { search, faults } = readSearch(query, Date.now());
  if (faults.length > 0) throw new Error(faults.map(({ reason }) => reason).join('; '));
  return search;
};
