import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { PageCommit } from '../../../src/ingest/planning/source.ts';
import { createPageCommits } from '../../../src/ingest/sync/commit/page-commits.sql.ts';
import { newSigner, openBuilder } from '../../support/evidence/builder-world.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import {
  addSources,
  commit,
  commitOf,
  entryText,
  FILTERS,
  LEASE_MS,
  newSource,
  pageOf,
  seconds,
  T0,
  takeLease,
} from '../../support/postgres/store-fixture.ts';

const database = databaseOfTests();

describe('the record of what was read', () => {
  test('is kept only while there is a log of evidence', async () => {
    const { pool } = database;
    const lease = await newSource(pool, 'before');
    expect(await commit(pool, lease, [entryText('a')], claiming(0))).toMatchObject({ kind: 'committed', stored: 1 });
    expect(await rowsOf('before')).toEqual([]);
    await openBuilder(pool, newSigner()).build();
    await commit(pool, await takeLease(pool, 'before'), [], claiming(60));
    expect(await rowsOf('before')).toMatchObject([{ number: 1 }]);
    await pool.query(`update evidence_logs set ended_at = clock_timestamp()`);
    await commit(pool, await takeLease(pool, 'before'), [], claiming(120));
    expect(await rowsOf('before')).toHaveLength(1);
    await pool.query('alter table evidence_logs disable trigger user; update evidence_logs set ended_at = null');
    await pool.query('alter table evidence_logs enable trigger user');
    await commit(pool, await takeLease(pool, 'before'), [], claiming(180));
    expect(await rowsOf('before')).toMatchObject([{ number: 1 }, { number: 2 }]);
  });

  test('has one row for each commit that claims, none for others, and none for one that is fenced', async () => {
    const { pool } = database;
    const lease = await newSource(pool, 'one');
    const first = await commit(pool, lease, [entryText('one-1')], {});
    if (first.kind !== 'committed') throw new Error('fenced');
    await commit(pool, first.lease, [entryText('one-2')], claiming(0));
    expect(await commit(pool, lease, [], claiming(60))).toEqual({ kind: 'fenced' });
    const [row] = await rowsOf('one');
    expect(await rowsOf('one')).toHaveLength(1);
    expect(row?.text).toMatch(
      /^\{"number":1,"source_kind":"organization","source_id":"one","read_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z",/,
    );
    expect(JSON.parse(row?.text ?? '')).toEqual({
      number: 1,
      source_kind: 'organization',
      source_id: 'one',
      read_at: expect.any(String),
      lane: 'live',
      filter_hash: FILTERS,
      since: '2026-01-09T23:59:59.000000Z',
      before: '2026-01-10T00:01:01.000000Z',
      pages: 1,
      entries: 2,
      answers: 3,
      first_date: '2026-01-10T00:01:10.000000Z',
      first_cf_ray: '8f2b1c0d9e7a6b5c-FRA',
      last_date: null,
      last_cf_ray: null,
      bodies_sha256: 'ab'.repeat(32),
    });
  });

  test('is a chain for each source, also if pages of several are committed by one call', async () => {
    const { pool } = database;
    const ids = ['g1', 'g2', 'g3', 'g4', 'g5'];
    await addSources(pool, ids);
    const commits = createPageCommits(pool, LEASE_MS);
    for (let round = 0; round < 3; round += 1) {
      const leases = await Promise.all(ids.map((id) => takeLease(pool, id)));
      const results = await Promise.all(
        leases.map((lease) =>
          commits(commitOf(lease, pageOf([entryText(`${lease.id}-${round}`)]), claiming(round * 60))),
        ),
      );
      expect(results.map(({ kind }) => kind)).toEqual(ids.map(() => 'committed'));
    }
    for (const id of ids) {
      const rows = await rowsOf(id);
      expect(rows.map(({ number }) => number)).toEqual([1, 2, 3]);
      for (const [index, { sha256: chain }] of rows.entries())
        expect(chain.toString('hex')).toBe(chainOf(rows.slice(0, index + 1).map(({ text }) => text)));
    }
  });

  test('takes no row that a verifier could not read, whatever a collector says', async () => {
    const { pool } = database;
    const lease = await newSource(pool, 'odd');
    const odd = reads(0);
    await commit(pool, lease, [], {
      claims: [seconds(0, 1)],
      reads: {
        window: { fromMs: -9e15, toMs: 9e15 },
        pages: -1,
        entries: 9e18,
        answers: { ...odd.answers, count: -5, firstCfRay: '"\\\n'.repeat(1_000) },
      },
    });
    expect(JSON.parse((await rowsOf('odd'))[0]?.text ?? '')).toMatchObject({
      since: '1970-01-01T00:00:00.000000Z',
      before: '9999-01-01T00:00:00.000000Z',
      pages: 0,
      entries: Number.MAX_SAFE_INTEGER,
      answers: 0,
      first_cf_ray: '"\\\n'.repeat(22).slice(0, 64),
    });
  });
});

const sha256 = (...parts: readonly Uint8Array[]): Buffer => createHash('sha256').update(Buffer.concat(parts)).digest();

const reads = (second: number): NonNullable<PageCommit['reads']> => ({
  window: { fromMs: T0 + second * 1_000 - 1_000, toMs: T0 + second * 1_000 + 61_000 },
  pages: 1,
  entries: 2,
  answers: {
    count: 3,
    firstDateMs: T0 + 70_000,
    firstCfRay: '8f2b1c0d9e7a6b5c-FRA',
    lastDateMs: null,
    lastCfRay: null,
    sha256: 'ab'.repeat(32),
  },
});

const claiming = (second: number): Partial<PageCommit> => ({
  claims: [seconds(second, second + 60)],
  reads: reads(second),
});

const rowsOf = async (id: string) => {
  const { rows } = await database.pool.query<{ number: number; text: string; sha256: Buffer }>(
    `select number::float8 as number, orgtrail_read_text(r) as text, sha256 from evidence_reads r where source_id = $1 order by number`,
    [id],
  );
  return rows;
};

/** Of the rows in order, as the specification has it. */
const chainOf = (texts: readonly string[]): string =>
  texts.reduce<Buffer>((before, text) => sha256(before, sha256(Buffer.from(text))), Buffer.alloc(32)).toString('hex');
