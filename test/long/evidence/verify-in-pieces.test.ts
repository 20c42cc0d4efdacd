import { expect, test } from 'vitest';
import { verifyDatabase } from '../../../src/cli/evidence/verify-command.ts';
import { worldOfEachTest } from '../../support/evidence/evidence-world.ts';

const world = worldOfEachTest();

test('every event is read once, also on both sides of where one statement ends and the next one begins', async () => {
  const { pool } = world;
  await world.addEvents(10, 'before');
  await pool.query(
    `insert into position_jumps (id, from_position, to_position, old_timeline, new_timeline) values (1, 10, $1, 'one', 'other')`,
    [PIECE - 5],
  );
  await pool.query('update feed_head set position = $1', [PIECE - 5]);
  await world.addEvents(10, 'at-the-edge');
  await world.build();
  const { rows } = await pool.query<{ first: number; last: number }>(
    `select min(position)::float8 as first, max(position)::float8 as last from audit_events where id like 'at-the-edge%'`,
  );
  expect(rows).toEqual([{ first: PIECE - 4, last: PIECE + 5 }]);
  const verify = () => verifyDatabase(pool, { anchors: [], policy: undefined, evidence: undefined });
  expect((await verify()).faults).toEqual([]);
  await pool.query(`update audit_events set received_at = received_at + interval '1 s' where position in ($1, $2)`, [
    PIECE,
    PIECE + 1,
  ]);
  expect((await verify()).faults.flatMap(({ positions }) => positions)).toEqual([PIECE, PIECE + 1]);
});

/** Where `orgtrail evidence verify` begins another statement. */
const PIECE = 200_000;
