import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EventQuery } from '../../../src/search/conditions/event-query.ts';
import { searchEvents } from '../../../src/search/search-events.sql.ts';
import { printTerms, readTerms, statusRange, type Term, type TermField } from '../../../src/search/terms/terms.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres/database.ts';
import { commit, entryText, newSource, T0 } from '../../support/postgres/store-fixture.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';

type Columns = Readonly<Record<string, string | number | null>>;

const everything: EventQuery = { since: undefined, before: undefined, defects: false, changed: false };
const SEED = 1808;
const random = seededRandom(SEED);
const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)] as T;
const orNone = (all: readonly string[]): string | undefined => (random() < 0.2 ? undefined : pick(all));

const emails = ['mira@example.com', 'Mira@Example.com', 'mira.n@example.com', 'tom_50%@example.com'];
const tokens = ['ci-deploy', 'CI-Deploy', 'ci', `long-${'x'.repeat(700)}`, `Long-${'X'.repeat(700)}`];
const actions = ['create', 'Create', 'delete', 'view', 'rotate_key', 'rotate%key'];
const addresses = ['192.0.2.7', '192.0.2.77', '198.51.100.1', '2001:db8::1', '2001:DB8:0::1'];
const agents = ['curl/8', 'Terraform/1.5 (x)', 'terraform', 'Mozilla 50%_'];
const statuses = [200, 201, 403, 404, 500];

const randomEntry = (n: number): string =>
  entryText(`e-${n}`, T0 + n * 1_000, {
    action: {
      type: orNone(actions),
      result: pick(['success', 'Success', 'failure']),
      time: new Date(T0 + n).toISOString(),
    },
    actor: {
      id: pick(['user-1', 'user-2']),
      email: orNone(emails),
      ip_address: orNone(addresses),
      token_id: orNone(['tok-1', 'tok-2']),
      token_name: orNone(tokens),
      type: orNone(['user', 'account', 'System']),
      context: orNone(['dash', 'api_token']),
    },
    resource: { id: pick(['r-1', 'r-11', 'R-1']), product: 'dns', type: pick(['record', 'Record', 'zone']) },
    raw: {
      cf_ray_id: `ray-${n % 7}`,
      method: orNone(['GET', 'post', 'DELETE']),
      uri: orNone(['/accounts/1/dns', '/accounts/1', '/Accounts/2/dns', '/zones/50%']),
      status_code: pick(statuses),
      user_agent: orNone(agents),
    },
  });

let database: TestDatabase;
let rows: readonly Columns[];
beforeAll(async () => {
  database = await createTestDatabase();
  await commit(
    database.pool,
    await newSource(database.pool, 'one'),
    Array.from({ length: 300 }, (_, n) => randomEntry(n)),
  );
  await commit(database.pool, await newSource(database.pool, 'two'), ['{"id":"bare"}']);
  rows = (await database.pool.query('select *, raw::text as text from audit_events order by position')).rows;
});
afterAll(async () => await database?.close());

const found = async (terms: readonly Term[]): Promise<string[]> => {
  const limits = { firstMs: 600_000, totalMs: 600_000 };
  const page = await searchEvents(database.pool, { ...everything, terms }, { cursor: undefined, limit: 500 }, limits);
  return page.events.map(({ id }) => id).sort();
};

/** As docs/console.md says it, value by value. */
const meets = (row: Columns, field: TermField, value: string): boolean => {
  const text = (name: string): string | undefined => row[name]?.toString();
  const star = value.endsWith('*') && value.length > 1;
  const start = value.slice(0, -1);
  const exact = (name: string) => (star ? (text(name)?.startsWith(start) ?? false) : text(name) === value);
  const low = value.toLowerCase();
  const folded = (name: string) => {
    const stored = text(name)?.toLowerCase();
    return star ? (stored?.startsWith(low.slice(0, -1)) ?? false) : stored === low;
  };
  const loose = (name: string) => {
    const stored = text(name)?.toLowerCase();
    if (stored === undefined) return false;
    const inner = low.replace(/^\*|\*$/g, '');
    if (low.startsWith('*')) return low.endsWith('*') ? stored.includes(inner) : stored.endsWith(inner);
    return low.endsWith('*') ? stored.startsWith(inner) : stored === low;
  };
  const status = () => {
    const [from, to] = statusRange(value) ?? [0, -1];
    return Number(row['raw_status_code'] ?? -1) >= from && Number(row['raw_status_code'] ?? -1) <= to;
  };
  const of: Partial<Record<TermField, () => boolean>> = {
    organization: () => exact('organization_id'),
    email: () => folded('actor_email'),
    token: () => exact('actor_token_id') || folded('actor_token_name'),
    actor_id: () => exact('actor_id'),
    actor_type: () => loose('actor_type'),
    context: () => loose('actor_context'),
    action: () => folded('action_type'),
    result: () => folded('action_result'),
    resource_type: () => folded('resource_type'),
    resource: () => exact('resource_id'),
    ray: () => exact('raw_cf_ray_id'),
    status,
    method: () => loose('raw_method'),
    uri: () => loose('raw_uri'),
    agent: () => loose('raw_user_agent'),
    text: () => text('text')?.toLowerCase().includes(low) ?? false,
    id: () => exact('id'),
  };
  const test = of[field];
  if (test === undefined) throw new Error(`no reference for ${field}`);
  return test();
};

const wanted = (terms: readonly Term[]): string[] =>
  rows
    .filter((row) =>
      terms.every(({ field, isNegated, values }) => values.some((value) => meets(row, field, value)) !== isNegated),
    )
    .map(({ id }) => String(id))
    .sort();

const pool: Readonly<Partial<Record<TermField, readonly string[]>>> = {
  organization: ['one', 'two', 'none'],
  email: [...emails, 'MIRA@example.com', 'mira*', 'TOM_50%*', 'tom_*'],
  token: [...tokens, 'tok-1', 'tok*', 'ci*', 'CI', 'long*', `long-${'X'.repeat(700)}`],
  actor_id: ['user-1', 'user*', 'USER-1'],
  actor_type: ['user', 'SYSTEM', 'acc*'],
  context: ['api_token', 'dash'],
  action: [...actions, 'CREATE', 'rotate*', 'rotate_*'],
  result: ['success', 'failure', 'SUCCESS'],
  resource_type: ['record', 'zo*', 'Zone'],
  resource: ['r-1', 'r-1*', 'R-1'],
  ray: ['ray-1', 'ray*'],
  status: ['403', '4xx', '200-201', '>=500', '<404', '>404', '<=200'],
  method: ['get', 'POST', 'de*'],
  uri: ['/accounts/1/dns', '/accounts/*', '*dns', '*1*', '/zones/50%', '/zones/5_%*'],
  agent: ['terraform*', '*(x)', '*50%*', 'curl/8'],
  text: ['mira', 'TERRAFORM', '50%', 'ray-3'],
  id: ['e-1', 'e-1*', 'bare'],
};

describe('a query line over stored events', () => {
  test('finds what a plain look at every event finds, terms of every field, alone and together', async () => {
    const fields = Object.keys(pool) as TermField[];
    const randomTerm = (field: TermField): Term => ({
      field,
      isNegated: random() < 0.4,
      values: Array.from({ length: 1 + Math.floor(random() * 3) }, () => pick(pool[field] ?? [])),
    });
    for (const field of fields) {
      for (const value of pool[field] ?? []) {
        for (const isNegated of [false, true]) {
          const terms = [{ field, isNegated, values: [value] }];
          expect(await found(terms), `seed ${SEED}: ${printTerms(terms)}`).toEqual(wanted(terms));
        }
      }
    }
    for (let n = 0; n < 150; n += 1) {
      const terms = Array.from({ length: 1 + Math.floor(random() * 3) }, () => randomTerm(pick(fields)));
      expect(await found(terms), `seed ${SEED}: ${printTerms(terms)}`).toEqual(wanted(terms));
    }
  });

  test('excludes what has the value, and no event that has none', async () => {
    const { terms } = readTerms('-actor:mira* -actor:192.0.2.0/24 -status:200');
    const ids = await found(terms);
    expect(ids).toContain('bare');
    const left = rows.filter(({ id }) => ids.includes(String(id)));
    expect(left.length).toBeGreaterThan(10);
    for (const row of left) {
      expect(String(row['actor_email'] ?? '').toLowerCase()).not.toMatch(/^mira/);
      expect(String(row['actor_ip_address'] ?? '')).not.toMatch(/^192\.0\.2\./);
      expect(row['raw_status_code']).not.toBe(200);
    }
    const gone = rows.length - left.length;
    const plain = rows.filter(
      (row) =>
        /^mira/i.test(String(row['actor_email'] ?? '')) ||
        /^192\.0\.2\./.test(String(row['actor_ip_address'] ?? '')) ||
        row['raw_status_code'] === 200,
    );
    expect(gone).toBe(plain.length);
  });
});
