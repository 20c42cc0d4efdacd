import type { Pool } from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../support/postgres/database.ts';

let database: TestDatabase;
let pool: Pool;
beforeEach(async () => {
  database = await createTestDatabase();
  pool = database.pool;
});
afterEach(async () => {
  await database?.close();
});
test('as much as can be given out at all is less than what is left out, also for a second standby that knows of no jump', async () => {
  const kept = await headRow();
  /** All at once, and some more, as fast as positions are given out. */
  const giveOut = async (times: number) => {
    for (let count = 0; count < times; count += 1)
      await pool.query('update feed_head set position = position + 110000');
    return (await headRow()).position;
  };
  const lost = await giveOut(5);
  expect(lost - kept.position).toBe(5 * 110_000);
  await promote(kept);
  const jumped = (await headRow()).position;
  expect(jumped).toBeGreaterThan(lost);
  const lostAgain = await giveOut(1);
  await promote(kept);
  expect((await headRow()).position).toBeGreaterThan(lostAgain);
});

test('positions are given out at a pace, after a quiet time many at once', async () => {
  const now = async () =>
    (await pool.query<{ at: number }>('select extract(epoch from clock_timestamp())::float8 as at')).rows[0]?.at ?? 0;
  // From before the first: in each second that a busy machine takes, as many more may be given out.
  const beganAt = await now();
  await pool.query('update feed_head set position = position + 200000');
  await pool.query(`update feed_head set position = position + ${CREDIT - 200_000}`);
  // Whatever version gives them out, and however many do at once.
  await Promise.all(Array.from({ length: 3 }, () => pool.query(`update feed_head set position = position + ${PACE}`)));
  const credited = (await now()) - beganAt;
  await pool.query(`update feed_head set position = position + ${PACE}`);
  expect((await now()) - beganAt).toBeGreaterThan(1);
  expect(credited).toBeLessThan(600);
  // A clock that went back holds nothing up.
  await pool.query(`update feed_head set paced_until = paced_until + interval '1 day'`);
  await pool.query('update feed_head set position = position + 1');
  expect((await headRow()).paced_until.getTime()).toBeLessThan(Date.now() + 3_600_000);
});

/** So many in a second, and after a quiet time so many at once. */
const PACE = 20_000;
const CREDIT = 500_000;

interface HeadRow {
  readonly position: number;
  readonly alive_at: Date;
  readonly paced_until: Date;
}

const headRow = async (): Promise<HeadRow> => {
  const { rows } = await pool.query<HeadRow>(
    'select position::float8 as position, alive_at, paced_until from feed_head',
  );
  if (rows[0] === undefined) throw new Error('there is no head');
  return rows[0];
};

/** Leaves the row as a standby has it that saw no more than this, and lets it take over. */
const promote = async ({ position, alive_at, paced_until }: HeadRow) => {
  await pool.query(
    `update feed_head set position = $1, alive_at = $2, paced_until = $3, timeline = 'of the lost server'`,
    [position, alive_at, paced_until],
  );
  await pool.query('select orgtrail_check_timeline()');
};
