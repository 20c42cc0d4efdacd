import { beforeAll, describe, expect, test } from 'vitest';
import { ofAllTests } from '../../support/process/of-tests.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';
import { readReference, type SearchReference } from '../../support/search/search-reference.ts';
import { serve } from '../../support/sync/served.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

// A daemon that looks so seldom is not behind by what passes while the test runs.
const world = ofAllTests(() =>
  openWorld({ organizations: 4, entries: 400, faults: { defectRate: 0.05 } }, { ORGTRAIL_SCHEDULE: '*/10 * * * *' }),
);
const run = ofAllTests(() => world.open());
const served = ofAllTests(() => serve(run));
let reference: SearchReference;
let organizations: readonly { readonly id: string; readonly name: string }[];
beforeAll(async () => {
  const texts = Array.from({ length: 30 }, (_, n) => JSON.stringify(odd(n)));
  world.simulator.append(world.simulator.summary().organizations[0]?.id ?? '', texts);
  await run.cycle();
  reference = await readReference(world.database.pool);
  organizations = (await world.database.pool.query('select id, name from organizations order by id')).rows;
});

describe('whatever is searched for, no event that matches is left out, and nothing is only complete about values that occur in collected time (invariant 14)', () => {
  test('with all of it collected', async () => {
    const counts = await checkMany(1, 120);
    for (const [kind, count] of Object.entries(counts)) expect(count, kind).toBeGreaterThan(10);
  });

  test('with gaps', async () => {
    await world.database.pool.query(
      `update coverage set ranges = ranges - tstzmultirange(tstzrange(now() - interval '30 hours', now() - interval '29 hours'),
         tstzrange(now() - interval '3 hours', now() - interval '179 minutes'))
       where pass = 0 and source_id in ($1, $2)`,
      [organizations[0]?.id, organizations[1]?.id],
    );
    const counts = await checkMany(2);
    expect(counts.incomplete).toBeGreaterThan(counts.complete);
    expect(counts.complete).toBeGreaterThan(0);
  });

  test('with an organization that is gone, and one that was never read', async () => {
    const { pool } = world.database;
    await pool.query("update organizations set state = 'gone' where id = $1", [organizations[2]?.id]);
    await pool.query('delete from coverage where source_id = $1', [organizations[3]?.id]);
    await checkMany(3);
  });
});

const HOUR_MS = 3_600_000;

interface Answer {
  readonly events: readonly { readonly position: number }[];
  readonly next: string | null;
  readonly complete: boolean;
  readonly incomplete_because: readonly string[];
  readonly coverage: { readonly organizations: number; readonly read_until: string | null };
}

const odd = (n: number) => ({
  id: `odd-${n}`,
  action: { type: ['Update', 'UPDATE', 'rotateKey'][n % 3], result: ['Success', 'Failure'][n % 2], time: timeAgo(n) },
  actor: {
    id: `user-${n}`,
    email: n % 2 === 0 ? `Mixed.Case${n}@Example.com` : `person_${n}%x@example.com`,
    ip_address: ['203.0.113.9', '203.0.114.200', '2001:db8:1::9', '2001:DB8:0:2::A', 'unknown'][n % 5],
    ...(n % 3 === 0 && { token_id: `token-${n}`, token_name: `CI Deploy ${n}` }),
  },
  resource: { id: `resource-${n}`, product: ['Access', 'access'][n % 2], type: ['AccessApp', 'accessapp'][n % 2] },
  raw: { cf_ray_id: `ray-${n}` },
});

const timeAgo = (n: number): string => new Date(Date.now() - 120_000 - n * HOUR_MS).toISOString();
type Draw = () => number;
const pick = <T>(draw: Draw, from: readonly T[]): T => from[Math.floor(draw() * from.length)] as T;

const columns = {
  action: ['action_type'],
  result: ['action_result'],
  product: ['resource_product'],
  resource_type: ['resource_type'],
  resource: ['resource_id'],
  ray: ['raw_cf_ray_id'],
  actor: ['actor_email', 'actor_id', 'actor_token_id', 'actor_token_name', 'actor_ip_address'],
} as const;

/** As people write values: as they are, in another case, misspelt, their beginning, the network they are in. */
const written = (draw: Draw, field: string, value: string): string => {
  const forms: ((value: string) => string)[] = [
    (one) => one,
    (one) => one,
    (one) => one.toUpperCase(),
    (one) => one.toLowerCase(),
    (one) => `${one.slice(0, -1)}q`,
    (one) => one.slice(0, Math.ceil(one.length / 2)),
  ];
  if (field === 'actor') {
    forms.push(
      (one) => `${one.slice(0, Math.max(1, Math.floor(one.length * draw())))}*`,
      (one) => (/^[\d.]+$/.test(one) ? `${one}/${8 + Math.floor(draw() * 25)}` : one),
      (one) => (/^[0-9a-f:]+$/i.test(one) && one.includes(':') ? `${one}/${16 + Math.floor(draw() * 113)}` : one),
      (one) => (one.includes('@') ? `email:${one}` : `token:${one}`),
      () => '198.18.0.0/15',
    );
  }
  return pick(draw, forms)(value).trim();
};

const drawSearch = async (draw: Draw): Promise<Record<string, string>> => {
  const search: Record<string, string> = {};
  const fields = Object.keys(columns) as (keyof typeof columns)[];
  for (let n = 1 + Math.floor(draw() * 2); n > 0; n -= 1) {
    const field = pick(draw, fields);
    const values = await valuesOf(pick(draw, columns[field]));
    const value = written(draw, field, pick(draw, values));
    if (value !== '') search[field] = value;
  }
  if (draw() < 0.15) search['text'] = pick(draw, ['Deploy', 'NOSUCHTEXT', 'mixed.case4', 'accessapp']);
  if (draw() < 0.5) search['since'] = new Date(Date.now() - draw() * 70 * HOUR_MS).toISOString();
  if (draw() < 0.3) search['before'] = new Date(Date.now() - draw() * 40 * HOUR_MS).toISOString();
  if (draw() < 0.4) {
    const { id, name } = pick(draw, organizations);
    search['organization'] = pick(draw, [id, name, name.toLowerCase(), name.slice(0, -2), 'No Such Organization']);
  }
  return search;
};

const known = new Map<string, readonly string[]>();

const valuesOf = async (column: string): Promise<readonly string[]> => {
  const found = known.get(column);
  if (found !== undefined) return found;
  const { rows } = await world.database.pool.query<{ value: string }>(
    `select distinct ${column} as value from audit_events where ${column} ~ '^[ -~]{1,200}$' order by 1`,
  );
  const values = rows.map(({ value }) => value).filter((value) => value.trim() === value);
  known.set(column, values);
  return values;
};

/** What PostgreSQL says is collected of the time that an answer is about. */
const isCollected = async (search: Record<string, string>, id: string | undefined, until: string): Promise<boolean> => {
  const { rows } = await world.database.pool.query<{ held: boolean }>(
    `select bool_and(tstzrange(greatest(s.wanted_since, now() - s.wanted_history, $2::timestamptz), $3::timestamptz) <@ c.ranges) as held
     from sources s join organizations o on o.id = s.organization_id and o.state <> 'gone' left join coverage c on c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = s.filter_hash and c.pass = 0
     where ($1::text is null or s.organization_id = $1)
       and greatest(s.wanted_since, now() - s.wanted_history, $2::timestamptz) < $3::timestamptz`,
    [id ?? null, search['since'] ?? null, until],
  );
  return rows[0]?.held !== false;
};

const searchAll = async (search: Record<string, string>) => {
  const positions: number[] = [];
  let first: Answer | undefined;
  let cursor: string | null = null;
  do {
    const query: URLSearchParams = new URLSearchParams({ ...search, limit: '200', ...(cursor !== null && { cursor }) });
    const response = await fetch(`${served.server.url}/v1/search?${query}`);
    const answer = (await response.json()) as Answer & { readonly reason?: string };
    if (response.status !== 200) return { code: response.status, reason: answer.reason, positions, first };
    first ??= answer;
    positions.push(...answer.events.map(({ position }) => position));
    cursor = answer.next;
  } while (cursor !== null);
  return { code: 200, reason: undefined, positions, first };
};

const checkSearch = async (
  search: Record<string, string>,
): Promise<'found' | 'complete' | 'incomplete' | 'refused'> => {
  const what = JSON.stringify(search);
  const given = search['organization'];
  const named = organizations.filter(({ id, name }) => id === given || name.toLowerCase() === given?.toLowerCase());
  const { code, reason, positions, first } = await searchAll(search);
  if (given !== undefined && named.length !== 1) {
    expect([code, reason], what).toEqual([400, expect.stringContaining('organization')]);
    return 'refused';
  }
  if (code === 400 && search['since'] !== undefined && search['before'] !== undefined) {
    expect(Date.parse(search['since']), what).toBeGreaterThanOrEqual(Date.parse(search['before']));
    return 'refused';
  }
  expect(code, `${what} ${reason}`).toBe(200);
  const id = named.length === 1 && given !== undefined ? named[0]?.id : undefined;
  expect(positions, what).toEqual(reference.matching(search, id).map(({ position }) => position));
  if (first?.complete === true) {
    expect(first.coverage.organizations, what).toBeGreaterThan(0);
    expect(await isCollected(search, id, first.coverage.read_until ?? ''), `collected: ${what}`).toBe(true);
    // Before the time asked for ends, only the delay of the last moments is left out.
    const asked = Math.min(Date.now(), Date.parse(search['before'] ?? '') || Date.now());
    const lacking = asked - Date.parse(first.coverage.read_until ?? '');
    expect(lacking, what).toBeLessThan(search['before'] === undefined ? HOUR_MS : 1_000);
  }
  if (positions.length > 0) return 'found';
  if (first?.complete !== true) {
    expect(first?.incomplete_because, what).not.toEqual([]);
    return 'incomplete';
  }
  expect(reference.allOccur(search), `all values occur: ${what}`).toBe(true);
  return 'complete';
};

const checkMany = async (seed: number, searches = 60) => {
  const draw = seededRandom(seed);
  const counts = { found: 0, complete: 0, incomplete: 0, refused: 0 };
  for (let n = 0; n < searches; n += 1) counts[await checkSearch(await drawSearch(draw))] += 1;
  return counts;
};
