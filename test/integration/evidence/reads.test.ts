import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { judge } from '../../support/evidence/bundles/exported-bundle.ts';
import { verifyDatabase } from '../../support/evidence/bundles/verify-database.ts';
import { judgedSound, worldOfEachTest } from '../../support/evidence/evidence-world.ts';
import { coverageStatements, stateOnce } from '../../support/evidence/stated-coverage.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import { firstValue, valuesOf } from '../../support/postgres/rows.ts';
import { addSources, commit, entryText, seconds, T0, takeLease } from '../../support/postgres/store-fixture.ts';

const world = worldOfEachTest(async () => {
  await world.build();
  await addSources(world.pool, ['org-a', 'org-b']);
});
const pool = poolOfTests(world);
let second = 0;

test('a bundle has the rows that are stated, and both verifiers compare them; what came later is not in it', async () => {
  await read('org-a', 3);
  await read('org-b', 2);
  await state();
  await read('org-a', 2);
  const { folder } = await world.export();
  const lines = readFileSync(join(folder, path), 'utf8').trimEnd().split('\n');
  expect(lines.map((line) => [JSON.parse(line).source_id, JSON.parse(line).number])).toEqual([
    ['org-a', 1],
    ['org-a', 2],
    ['org-a', 3],
    ['org-b', 1],
    ['org-b', 2],
  ]);
  const sound = await judgedSound(folder);
  for (const { claims } of [sound.node, sound.python]) expect(claims).toContain('5 reads are those that were stated');
  expect(readFileSync(join(folder, 'README.txt'), 'utf8')).toContain(path);
  writeFileSync(join(folder, 'README.txt'), '');
  writeFileSync(join(folder, path), `${lines.toSpliced(1, 1).join('\n')}\n`);
  const { node, python } = await judge(folder);
  expect([node.holds, python.holds]).toEqual([false, false]);
});

test('a bundle of one source, and one of a time, have the rows of what they are of', async () => {
  await read('org-a', 3);
  await read('org-b', 2);
  await state();
  const { folder: one } = await world.export({ source: { kind: 'organization', id: 'org-b' } });
  expect(readFileSync(join(one, path), 'utf8').match(/"source_id":"[^"]*"/g)).toEqual(
    Array(2).fill('"source_id":"org-b"'),
  );
  await judgedSound(one);
  const time = { since: new Date(T0).toISOString(), before: new Date(T0 + 2_000).toISOString(), isHashesOnly: false };
  const { folder: ofTime } = await world.export({ time });
  expect(readFileSync(join(ofTime, path), 'utf8').trimEnd().split('\n')).toHaveLength(5);
  await judgedSound(ofTime);
});

test('the verification of the database finds a row that was changed, deleted, or put in', async () => {
  await read('org-a', 4);
  await state();
  await world.verified();
  const changes = [
    "update evidence_reads set last_cf_ray = 'another' where number = 2",
    'delete from evidence_reads where number = 3',
    'delete from evidence_reads',
    'update evidence_reads set number = 10 - number',
  ];
  for (const change of changes) {
    await pool.query('create table kept as table evidence_reads');
    await pool.query(change);
    const codes = (await verifyDatabase(pool, world.signer)).faults.map(({ code }) => code);
    expect(codes, change).toContain('reads');
    await pool.query('truncate evidence_reads; insert into evidence_reads table kept; drop table kept');
  }
  await world.verified();
});

test('rows of more than a month are deleted once a signed statement has counted them and no longer promises them', async () => {
  const age = (source: string, until: number) =>
    pool.query(
      `update evidence_reads set read_at = read_at - interval '32 days' where source_id = $1 and number <= $2`,
      [source, until],
    );
  await read('org-a', 5);
  // Its rows change with their time, so that is done before anything is stated: as if the clock had been so.
  await age('org-a', 3);
  await rehash();
  await state();
  expect(await statedOf('org-a')).toEqual([[5, 0]]);
  expect(await numbersOf('org-a')).toEqual([1, 2, 3, 4, 5]);
  await state();
  expect(await statedOf('org-a')).toEqual([
    [5, 0],
    [5, 3],
  ]);
  // The hash of the last one that is gone is needed.
  expect(await numbersOf('org-a')).toEqual([3, 4, 5]);
  await read('org-a', 1);
  await state();
  expect((await statedOf('org-a')).at(-1)).toEqual([6, 3]);
  const { folder } = await world.export();
  expect(readFileSync(join(folder, path), 'utf8').match(/"number":\d+/g)).toEqual(
    [4, 5, 6].map((n) => `"number":${n}`),
  );
  await judgedSound(folder);
  await world.verified();
});

test('a source that is no longer read keeps its last row; nothing is deleted by a clock that is ahead of Cloudflare', async () => {
  await read('org-a', 3);
  await pool.query("update evidence_reads set read_at = read_at - interval '40 days'");
  await rehash();
  await pool.query("update discovery set server_time = clock_timestamp() - interval '40 days'");
  await state();
  await state();
  expect(await numbersOf('org-a')).toEqual([1, 2, 3]);
  await pool.query('update discovery set server_time = clock_timestamp()');
  await state();
  expect((await statedOf('org-a')).at(-1)).toEqual([3, 2]);
  expect(await numbersOf('org-a')).toEqual([2, 3]);
  await read('org-a', 1);
  await state();
  expect((await statedOf('org-a')).at(-1)).toEqual([4, 3]);
  expect(await numbersOf('org-a')).toEqual([3, 4]);
  const { folder } = await world.export();
  await judgedSound(folder);
});

test('a row that only an unsigned statement no longer promises stays', async () => {
  await read('org-a', 3);
  await pool.query("update evidence_reads set read_at = read_at - interval '40 days'");
  await rehash();
  await state();
  const { rows } = await pool.query(`select signed_size from evidence_logs where name = 'journal'`);
  await pool.query('select orgtrail_ask_coverage(null, null)');
  await world.open({ coverage: stateOnce }).build();
  expect((await statedOf('org-a')).at(-1)).toEqual([3, 2]);
  await pool.query(`update evidence_logs set signed_size = $1 where name = 'journal'`, [rows[0]?.signed_size]);
  expect(await thin()).toBe(0);
  await pool.query(`update evidence_logs set signed_size = size where name = 'journal'`);
  expect(await thin()).toBe(1);
});

/** As rows whose times were set would have been hashed. */
const rehash = async (): Promise<void> => {
  await pool.query(`do $$
    declare one evidence_reads; was bytea;
    begin
      for one in select * from evidence_reads order by source_kind, source_id, number loop
        was := coalesce((select r.sha256 from evidence_reads r where r.source_kind = one.source_kind
          and r.source_id = one.source_id and r.number = one.number - 1), decode(repeat('00', 32), 'hex'));
        update evidence_reads r set sha256 = sha256(was || sha256(convert_to(orgtrail_read_text(one), 'UTF8')))
        where r.source_kind = one.source_kind and r.source_id = one.source_id and r.number = one.number;
      end loop;
    end $$`);
};

const path = 'journal/reads.ndjson';

/** So many walks over the log of a source, each with an entry. */
const read = async (source: string, walks: number): Promise<void> => {
  for (let walk = 0; walk < walks; walk += 1) {
    second += 1;
    const fromMs = T0 + second * 1_000;
    const ray = `ray-${second}`;
    const ends = { firstDateMs: fromMs, firstCfRay: ray, lastDateMs: fromMs, lastCfRay: ray };
    await commit(pool, await takeLease(pool, source), [entryText(`e${second}`, fromMs)], {
      claims: [seconds(second, second + 1)],
      reads: {
        window: { fromMs: fromMs - 1_000, toMs: fromMs + 2_000 },
        pages: 1,
        entries: 1,
        answers: { count: 1, ...ends, sha256: 'cd'.repeat(32) },
      },
    });
  }
};

/** States all sources, and deletes what the statements no longer promise. */
const state = async (): Promise<void> => {
  const builder = world.open({ coverage: stateOnce });
  await pool.query('select orgtrail_ask_coverage(null, null)');
  await builder.build();
  await builder.store.thin();
};

const thin = () => firstValue<number>(pool, 'select orgtrail_thin_reads()::integer as thinned');

const numbersOf = (source: string) =>
  valuesOf<number>(pool, 'select number::float8 as number from evidence_reads where source_id = $1 order by number', [
    source,
  ]);

const statedOf = async (source: string) =>
  (await coverageStatements(pool))
    .filter(({ source_id: id }) => id === source)
    .map(({ reads }) => [reads?.count, reads?.after?.count]);
