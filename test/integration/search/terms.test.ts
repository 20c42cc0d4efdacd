import { beforeAll, expect, test } from 'vitest';
import type { EventQuery } from '../../../src/search/query/event-query.ts';
import { printTerms, type Term, type TermField } from '../../../src/search/query/terms.ts';
import { searchEvents } from '../../../src/search/search-events.sql.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import { commit, entryText, newSource, T0 } from '../../support/postgres/store-fixture.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';
import { meets, type Row } from '../../support/search/line-reference.ts';

const SEED = 1808;
const random = seededRandom(SEED);
const emails = ['mira@example.com', 'Mira@Example.com', 'mira.n@example.com', 'tom_50%@example.com'];
const tokens = ['ci-deploy', 'CI-Deploy', 'ci', `long-${'x'.repeat(700)}`, `Long-${'X'.repeat(700)}`];
const actions = ['create', 'Create', 'delete', 'view', 'rotate_key', 'rotate%key'];
const pool = poolOfTests();
let rows: readonly Row[];
beforeAll(async () => {
  await commit(
    pool,
    await newSource(pool, 'one'),
    Array.from({ length: 300 }, (_, n) => randomEntry(n)),
  );
  await commit(pool, await newSource(pool, 'two'), ['{"id":"bare"}']);
  rows = (await pool.query('select *, raw::text as text from audit_events order by position')).rows;
});

const valuesOf: Readonly<Partial<Record<TermField, readonly string[]>>> = {
  organization: ['one', 'two', 'none'],
  actor: ['mira*', 'MIRA@example.com', 'user-1', '192.0.2.0/24', 'ci*', 'token:ci-deploy'],
  ip: ['192.0.2.0/24', '2001:db8::1', '198.51.*'],
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

test('a query line finds what a plain look at every event finds, terms of every field, alone and together', async () => {
  const fields = Object.keys(valuesOf) as TermField[];
  const randomTerm = (field: TermField): Term => ({
    field,
    isNegated: random() < 0.4,
    values: Array.from({ length: 1 + Math.floor(random() * 3) }, () => pick(valuesOf[field] ?? [])),
  });
  for (const field of fields) {
    for (const value of valuesOf[field] ?? []) {
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

const everything: EventQuery = { since: undefined, before: undefined, defects: false, changed: false };

const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)] as T;
const orNone = (all: readonly string[]): string | undefined => (random() < 0.2 ? undefined : pick(all));

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

const found = async (terms: readonly Term[]): Promise<string[]> => {
  const limits = { firstMs: 600_000, totalMs: 600_000 };
  const page = await searchEvents(pool, { ...everything, terms }, { cursor: undefined, limit: 500 }, limits);
  return page.events.map(({ id }) => id).sort();
};

const wanted = (terms: readonly Term[]): string[] =>
  rows
    .filter((row) =>
      terms.every(
        ({ field, isNegated, values }) =>
          values.some((text) => meets(row, { field: field === 'id' ? 'entry_id' : field, text })) !== isNegated,
      ),
    )
    .map(({ id }) => String(id))
    .sort();
