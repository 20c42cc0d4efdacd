import { afterAll, beforeAll, expect, test } from 'vitest';
import { type HostileWorld, openHostileWorld } from '../../support/hostile/world.ts';
import { entryText } from '../../support/postgres/store-fixture.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';

let world: HostileWorld;
beforeAll(async () => {
  world = await openHostileWorld();
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
});

const random = seededRandom(7);
/** Of so many different characters that PostgreSQL cannot compress it to what an index takes. */
const longText = (length: number): string =>
  Array.from({ length }, () => String.fromCodePoint(0x21 + Math.floor(random() * 90))).join('');

test.each([
  ['resource_id', 'resource', 'id'],
  ['resource_type', 'resource', 'type'],
  ['actor_id', 'actor', 'id'],
  ['actor_email', 'actor', 'email'],
  ['actor_ip_address', 'actor', 'ip_address'],
  ['actor_token_id', 'actor', 'token_id'],
  ['action_type', 'action', 'type'],
])(
  '%s that no index takes: the column has its beginning, the entry is exact, and its neighbour is stored',
  async (column, part, name) => {
    const value = longText(4_000);
    const time = { time: '2026-10-01T12:00:00Z' };
    const parts = { action: time, [part]: { ...(part === 'action' && time), [name]: value } };
    const text = JSON.stringify({ id: 'long', ...parts });
    await world.addSources([column]);
    world.serve(column, [Buffer.from(`{"success":true,"result":[${text},${entryText('neighbour')}]}`)]);
    expect(await world.sync(column)).toMatchObject({ kind: 'idle' });
    const { rows } = await world.database.pool.query<{ id: string; raw: string; value: string; defects: string[] }>(
      `select id, raw::text as raw, ${column} as value, defects from audit_events where source_id = $1 order by position`,
      [column],
    );
    expect(rows.map(({ id }) => id)).toEqual(['long', 'neighbour']);
    expect(rows[0]?.raw === text, 'the exact text').toBe(true);
    expect(rows[0]?.defects).toEqual(['column_too_long']);
    expect(value.startsWith(rows[0]?.value ?? '-')).toBe(true);
    expect(rows[0]?.value.length).toBe(600);
    expect(rows[1]?.defects).toBeNull();
  },
);
