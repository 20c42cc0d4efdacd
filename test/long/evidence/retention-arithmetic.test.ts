import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { before, microsecondsOf, readInterval } from '../../../src/evidence/journal/instants.ts';
import { Dice } from '../../simulation/dice.ts';
import { hasPython } from '../../support/evidence/bundles/two-verifiers.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';

// PostgreSQL decides when a month may go. A verifier that counts otherwise refuses what was done rightly.
const database = databaseOfTests();
const seed = 20_261_127;

test(`both verifiers count back as PostgreSQL does, from seed ${seed}`, async () => {
  const dice = new Dice(seed);
  const startMs = Date.parse('1890-01-01T00:00:00Z');
  const cases = Array.from({ length: 2_000 }, () => ({
    // The last days of months are of interest.
    at: new Date(startMs + dice.between(0, 3_600) * 30.436875 * 86_400_000).toISOString(),
    interval: interval(dice),
  }));
  const client = await database.pool.connect();
  const { rows } = await client
    .query<{ at: string; interval: string; us: string }>(
      `with c as (select (c ->> 'at')::timestamptz as at, (c ->> 'interval')::interval as i from json_array_elements($1) c)
       select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at, i::text as interval,
         (extract(epoch from ((at at time zone 'UTC') - i) at time zone 'UTC') * 1000000)::bigint::text as us from c`,
      [JSON.stringify(cases)],
    )
    .finally(() => client.release());
  const here = rows.map(({ at, interval: text }) => {
    const read = readInterval(text);
    return read === undefined ? text : String(before(microsecondsOf(at) ?? 0n, read));
  });
  expect(here).toEqual(rows.map(({ us }) => us));
  if (!hasPython()) return;
  const program = `import json, sys; sys.path.insert(0, 'src/evidence/verify-bundle'); import verify
print(json.dumps([str(verify.long_before(verify.microseconds(one['at']), *verify.interval(one['interval']))) for one in json.load(sys.stdin)]))`;
  const { stdout, stderr } = spawnSync('python3', ['-B', '-c', program], {
    input: JSON.stringify(rows),
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  expect(JSON.parse(stdout)).toEqual(rows.map(({ us }) => us));
});

const interval = (dice: Dice): string => {
  const part = (most: number, unit: string) => (dice.chance(0.5) ? `${dice.between(-3, most)} ${unit}` : '');
  const hours = dice.chance(0.3) ? `${dice.between(0, 50)}:00:01.5` : '';
  return [part(30, 'months'), part(90, 'days'), hours].join(' ').trim() || '1 day';
};
