import { expect, test } from 'vitest';
import type { StatementOf } from '../../../src/evidence/journal/statement.ts';
import { judgedSound, worldOfEachTest } from '../../support/evidence/evidence-world.ts';
import { coverageStatements, stateOnce } from '../../support/evidence/stated-coverage.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import { addSources } from '../../support/postgres/store-fixture.ts';

const world = worldOfEachTest((prepared) => addSources(prepared.pool, ['a', 'b']));
const pool = poolOfTests(world);

test('a clock that went back is stated once, before anything else is; sources are stated again then, and no more often', async () => {
  await world.read('a', 0, 5);
  await build();
  await build();
  expect(await clocks()).toEqual([]);
  expect(await coverageStatements(pool)).toHaveLength(2);
  await goBack();
  await world.read('a', 5, 10);
  for (let again = 0; again < 3; again += 1) await build();
  const [stated, ...more] = await clocks();
  expect(more).toEqual([]);
  expect(Date.parse(stated?.before ?? '') - Date.parse(stated?.at ?? '')).toBeGreaterThan(7_000_000);
  const kinds = (await world.journal()).map(({ kind }) => kind);
  expect(kinds.slice(kinds.indexOf('clock'))).toEqual(['clock', 'coverage', 'coverage']);
  const { folder } = await world.export();
  await judgedSound(folder);
});

test('what was asked for, and other filters, in a time that is no longer reached, make no statement with each look', async () => {
  const other = { ...stateOnce, filters: [...stateOnce.filters, { kind: 'organization', hash: 'f2', text: 'f2' }] };
  await build();
  await pool.query(
    `insert into evidence_coverage (generation, source_kind, source_id, filter_hash, index, stated_at)
     values (1, 'organization', 'a', 'f2', 0, clock_timestamp() + interval '2 hours')`,
  );
  await pool.query('select orgtrail_ask_coverage(null, null)');
  await pool.query("update evidence_asked set asked_at = asked_at + interval '2 hours'");
  const before = (await coverageStatements(pool)).length;
  for (let again = 0; again < 3; again += 1) await world.open({ coverage: other }).build();
  expect(await coverageStatements(pool)).toHaveLength(before);
});

test('a clock that is far from that of Cloudflare is stated once, and so is that it is right again', async () => {
  const compare = async (aheadSeconds: number): Promise<void> => {
    await pool.query(
      `update discovery set last_success_at = clock_timestamp(), server_time = clock_timestamp() - make_interval(secs => $1)`,
      [aheadSeconds],
    );
    await build();
    await build();
  };
  const stated = async () =>
    (await clocks()).map(({ ahead_seconds: ahead, before }) => [before, Math.round((ahead ?? 0) / 60)]);
  await compare(0);
  await compare(300);
  expect(await stated()).toEqual([]);
  await compare(86_400);
  await compare(86_500);
  expect(await stated()).toEqual([[null, 1_440]]);
  await compare(0);
  await compare(2);
  expect(await stated()).toEqual([
    [null, 1_440],
    [null, 0],
  ]);
});

test('a source that is read less than was stated is not stated until that is read again, and holds up no other', async () => {
  await world.read('a', 0, 10);
  await world.read('b', 0, 10);
  await build();
  const before = (await coverageStatements(pool)).length;
  const kept = "'{[2026-01-10 00:00:00+00, 2026-01-10 00:00:05+00)}'";
  await pool.query(`update coverage set ranges = ${kept}, proven = ${kept} where source_id = 'a'`);
  await pool.query('select orgtrail_ask_coverage(null, null)');
  const held: number[] = [];
  const { build: steps } = world.open({
    // A look finds one source, and the one that is held back comes first.
    coverage: { ...stateOnce, batch: 1 },
    observer: { coverageHeldBack: (sources) => held.push(sources) },
  });
  for (let look = 0; look < 4; look += 1) await steps();
  const after = (await coverageStatements(pool)).slice(before);
  expect(after.map(({ source_id: id }) => id)).toEqual(['b']);
  expect(held).toEqual([1]);
  await world.read('a', 5, 10);
  await build();
  expect((await coverageStatements(pool)).slice(before).map(({ source_id: id }) => id)).toEqual(['b', 'a']);
  const { folder } = await world.export();
  await judgedSound(folder);
});

/** What a clock that was ahead by two hours has left behind, since it went back. */
const goBack = async (): Promise<void> => {
  await pool.query("update evidence_logs set signed_at = signed_at + interval '2 hours'");
  await pool.query("update evidence_coverage set stated_at = stated_at + interval '2 hours'");
};

const clocks = async (): Promise<readonly StatementOf<'clock'>[]> => {
  return (await world.journal()).filter(({ kind }) => kind === 'clock');
};

const build = async (): Promise<void> => {
  await world.build({ coverage: stateOnce });
};
