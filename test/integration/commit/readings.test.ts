import { describe, expect, test } from 'vitest';
import type { Range } from '../../../src/ingest/planning/coverage.ts';
import { idleLane } from '../../../src/ingest/planning/lane.ts';
import type { Lease, PageCommit, Reading } from '../../../src/ingest/planning/source.ts';
import type { Lane } from '../../../src/ingest/planning/walk.ts';
import { startWalk } from '../../../src/ingest/planning/walk.ts';
import { createPageCommits } from '../../../src/ingest/sync/commit/page-commits.sql.ts';
import { newSigner, openBuilder } from '../../support/evidence/builder-world.ts';
import { committed } from '../../support/postgres/committed.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
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
  walking,
} from '../../support/postgres/store-fixture.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';

const pool = poolOfTests();

describe('coverage_proof', () => {
  test('the live tail of a day is one row, with all that it found', async () => {
    let lease = await newSource(pool, 'live');
    for (let hour = 0; hour < 48; hour += 0.5) {
      const range = hours(hour, hour + 0.5);
      lease = await read(lease, { ...first, range }, hour % 3 === 0 ? [range.fromMs, range.fromMs + 1] : []);
    }
    expect(await rowsOf('live')).toMatchObject([
      { ...hours(0, 24), ...first, found: 16 },
      { ...hours(24, 48), ...first, found: 16 },
    ]);
    const day = { ...first, found: 16, unproven: 0 };
    expect(await proofOf('live', 3)).toMatchObject([
      { day: '2026-03-01', ...day },
      { day: '2026-03-02', ...day },
      { day: '2026-03-03', method: null, found: 0, unproven: 86_400 },
    ]);
  });

  test('a window of 90 days that finds nothing is three rows; each day for which it finds something is one more', async () => {
    let lease = await newSource(pool, 'scrub');
    lease = await read(lease, { ...first, range: hours(0, 90 * 24) });
    expect(await rowsOf('scrub')).toHaveLength(3);
    lease = await read(lease, { ...scrub(1), range: hours(6, 90 * 24 - 6) }, [DAY0 + 40.5 * DAY_MS]);
    expect(await rowsOf('scrub')).toMatchObject([
      { ...hours(0, 6), ...first },
      { ...hours(6, 24), ...scrub(1), found: 0 },
      { ...hours(24, 40 * 24), ...scrub(1), found: 0 },
      { ...hours(40 * 24, 41 * 24), ...scrub(1), found: 1 },
      { ...hours(41 * 24, 89 * 24), ...scrub(1), found: 0 },
      { ...hours(89 * 24, 90 * 24 - 6), ...scrub(1), found: 0 },
      { ...hours(90 * 24 - 6, 90 * 24), ...first },
    ]);
    // A day counts as proven by the part that was read longest ago.
    const proof = await proofOf('scrub', 90);
    expect(proof[0]).toMatchObject({ ...first, unproven: 0 });
    expect(proof[40]).toMatchObject({ ...scrub(1), found: 1, unproven: 0 });
    expect(proof.every(({ unproven }) => unproven === 0)).toBe(true);
    // The next round reads the same in one window, and finds nothing.
    await read(lease, { ...scrub(2), range: hours(0, 90 * 24) });
    expect(await rowsOf('scrub')).toHaveLength(3);
    expect((await proofOf('scrub', 90)).every(({ number, found }) => number === 2 && found === 0)).toBe(true);
  });

  test('what a walk finds before it is narrowed counts once its time has been read', async () => {
    let lease = await newSource(pool, 'narrowed');
    const claim = hours(0, 48);
    const walk = { ...startWalk('scrub', claim, { readAtMs: DAY0 + 49 * HOUR_MS }), cursor: 'c', pages: 1 };
    const write = async (texts: readonly string[], state: typeof idleLane | undefined) => {
      lease = await mustCommit(lease, texts, { lane: 'scrub', state, claims: [] });
    };
    await write([entryText('a', DAY0 + 2 * HOUR_MS), entryText('b', DAY0 + 30 * HOUR_MS)], walking(walk));
    // What a proof brings leaves the lane as it is.
    await write([entryText('c', DAY0 + 31 * HOUR_MS)], undefined);
    await write([], idleLane);
    lease = await read(lease, { ...scrub(1), range: hours(24, 48) });
    expect(await proofOf('narrowed', 2)).toMatchObject([
      { found: 0, unproven: 86_400 },
      { found: 2, unproven: 0 },
    ]);
    await read(lease, { ...scrub(1), range: hours(0, 24) });
    expect(await proofOf('narrowed', 2)).toMatchObject([{ found: 1 }, { found: 2 }]);
    const { rows } = await pool.query("select found from lanes where source_id = 'narrowed'");
    expect(rows).toEqual([{ found: {} }]);
  });

  test('a day for which the second reading finds an entry is read once until a later reading finds nothing', async () => {
    const readAgain = async () => {
      const { rows } = await pool.query<{ days: readonly string[] }>(
        `select array(select to_char(day, 'YYYY-MM-DD') from generate_series($1::timestamptz, $2, '1 day') day
           where read_again @> tstzrange(day, day + interval '1 day')) as days
         from coverage where source_id = 'news' and pass = 0`,
        [new Date(DAY0), new Date(DAY0 + 3 * DAY_MS)],
      );
      return rows[0]?.days;
    };
    const all = hours(0, 96);
    let lease = await newSource(pool, 'news');
    lease = await read(lease, { ...first, number: 1, range: all }, [DAY0]);
    await pool.query(
      "update coverage set noted_at = noted_at - interval '25 hours' where source_id = 'news' and pass = 0",
    );
    lease = await read(lease, { ...scrub(1), range: all }, [DAY0 + 1.5 * DAY_MS]);
    expect(await readAgain()).toEqual(['2026-03-01', '2026-03-03', '2026-03-04']);
    await read(lease, { ...scrub(2), range: all });
    expect(await readAgain()).toEqual(['2026-03-01', '2026-03-02', '2026-03-03', '2026-03-04']);
  });

  test('a fenced commit and one that ends no walk leave no reading', async () => {
    const lease = await newSource(pool, 'fenced');
    const range = hours(0, 1);
    await mustCommit(lease, [], { state: idleLane, claims: [[range]] });
    expect(await rowsOf('fenced')).toEqual([]);
    const late = await commit(pool, lease, [], {
      claims: [[range]],
      reading: { ...first, range, againAfterMs: DAY_MS },
    });
    expect(late.kind).toBe('fenced');
    expect(await rowsOf('fenced')).toEqual([]);
  });

  test('whatever is read in whatever order: each minute has its last reading, none has two, and days add up', async () => {
    const random = seededRandom(7);
    const DAYS = 5;
    const minutes: ({ readonly key: string; readonly atMs: number } | undefined)[] = Array(DAYS * 24 * 60).fill(
      undefined,
    );
    let lease = await newSource(pool, 'any');
    const clock = async () => {
      const { rows } = await pool.query('select (extract(epoch from clock_timestamp()) * 1000)::float8 as ms');
      return rows[0].ms as number;
    };
    for (let step = 0; step < 250; step += 1) {
      const length = Math.ceil(random() ** 3 * minutes.length);
      const whole = random() < 0.2 ? 24 * 60 : 1;
      const from = Math.floor((random() * (minutes.length - length)) / whole) * whole;
      const to = Math.min(minutes.length, Math.ceil((from + length) / whole) * whole);
      const kinds = [first, { ...first, method: 'pass', number: 1 + (step % 3) } as const, scrub(1), scrub(2)];
      const kind = kinds[Math.floor(random() * kinds.length)] ?? first;
      const range = { fromMs: DAY0 + from * MINUTE_MS, toMs: DAY0 + to * MINUTE_MS };
      const timesMs = random() < 0.3 ? [range.fromMs, range.toMs - 1] : [];
      const before = await clock();
      lease = await read(lease, { ...kind, range }, timesMs);
      for (let minute = from; minute < to; minute += 1) {
        minutes[minute] = { key: `${kind.method} ${kind.number} ${kind.direction}`, atMs: before };
      }
      const rows = await rowsOf('any');
      const seen = new Array<Row | undefined>(minutes.length).fill(undefined);
      for (const row of rows) {
        for (let minute = (row.fromMs - DAY0) / MINUTE_MS; minute < (row.toMs - DAY0) / MINUTE_MS; minute += 1) {
          if (seen[minute] !== undefined) throw new Error(`two readings of minute ${minute} after step ${step}`);
          seen[minute] = row;
        }
      }
      for (const [minute, expected] of minutes.entries()) {
        const row = seen[minute];
        if (row?.readFromMs === undefined || expected === undefined) {
          expect(row).toBe(expected);
          continue;
        }
        if (`${row.method} ${row.number} ${row.direction}` !== expected.key || row.readToMs < expected.atMs) {
          throw new Error(`minute ${minute} after step ${step}: ${JSON.stringify(row)}, not ${expected.key}`);
        }
      }
      expect(rows.filter(({ found, fromMs, toMs }) => found > 0 && !isOneDay(fromMs, toMs))).toEqual([]);
    }
    const proof = await proofOf('any', DAYS);
    for (const [day, { unproven }] of proof.entries()) {
      const unread = minutes.slice(day * 1_440, (day + 1) * 1_440).filter((minute) => minute === undefined).length;
      expect(unproven).toBeCloseTo(unread * 60);
    }
  });
});

describe('the record of what was read', () => {
  test('is kept only while there is a log of evidence', async () => {
    const lease = await newSource(pool, 'before');
    expect(await commit(pool, lease, [entryText('a')], claiming(0))).toMatchObject({ kind: 'committed', stored: 1 });
    expect(await readsOf('before')).toEqual([]);
    await openBuilder(pool, newSigner()).build();
    await commit(pool, await takeLease(pool, 'before'), [], claiming(60));
    expect(await readsOf('before')).toMatchObject([{ number: 1 }]);
    await pool.query(`update evidence_log set ended_at = clock_timestamp()`);
    await commit(pool, await takeLease(pool, 'before'), [], claiming(120));
    expect(await readsOf('before')).toHaveLength(1);
    await pool.query('alter table evidence_log disable trigger user; update evidence_log set ended_at = null');
    await pool.query('alter table evidence_log enable trigger user');
    await commit(pool, await takeLease(pool, 'before'), [], claiming(180));
    expect(await readsOf('before')).toMatchObject([{ number: 1 }, { number: 2 }]);
  });

  test('has one row for each commit that claims, none for others, and none for one that is fenced', async () => {
    const lease = await newSource(pool, 'one');
    const first = await committed(pool, lease, [entryText('one-1')], {});
    await commit(pool, first.lease, [entryText('one-2')], claiming(0));
    expect(await commit(pool, lease, [], claiming(60))).toEqual({ kind: 'fenced' });
    const [row] = await readsOf('one');
    expect(await readsOf('one')).toHaveLength(1);
    expect(row?.text).toMatch(/^\{"source":7,"number":1,"read_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z",/);
    expect(JSON.parse(row?.text ?? '')).toEqual({
      source: 7,
      number: 1,
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

  test('has its own numbers for each source, also if pages of several are committed by one call', async () => {
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
      const rows = await readsOf(id);
      expect(rows.map(({ number }) => number)).toEqual([1, 2, 3]);
    }
  });

  test('takes no row that a verifier could not read, whatever a collector says', async () => {
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
    expect(JSON.parse((await readsOf('odd'))[0]?.text ?? '')).toMatchObject({
      since: '1970-01-01T00:00:00.000000Z',
      before: '9999-01-01T00:00:00.000000Z',
      pages: 0,
      entries: Number.MAX_SAFE_INTEGER,
      answers: 0,
      first_cf_ray: '"\\\n'.repeat(22).slice(0, 64),
    });
  });
});

const isOneDay = (fromMs: number, toMs: number): boolean =>
  Math.floor(fromMs / DAY_MS) === Math.floor((toMs - 1) / DAY_MS);

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const DAY0 = Date.UTC(2026, 2, 1);

type Row = Readonly<
  Record<'fromMs' | 'toMs' | 'number' | 'found' | 'readFromMs' | 'readToMs', number> &
    Record<'method' | 'direction', string>
>;

const rowsOf = async (id: string): Promise<readonly Row[]> => {
  const ms = (name: string) => `(extract(epoch from ${name}) * 1000)::float8`;
  const { rows } = await pool.query<Row>(
    `select ${ms('since')} as "fromMs", ${ms('before')} as "toMs", method, number, direction, found::integer,
       ${ms('read_from')} as "readFromMs", ${ms('read_to')} as "readToMs"
     from coverage_readings where source_id = $1 and filter_hash = $2 order by since`,
    [id, FILTERS],
  );
  return rows;
};

const proofOf = async (id: string, days: number) => {
  const { rows } = await pool.query(
    `select to_char(day, 'YYYY-MM-DD') as day, method, number, direction, found::integer, unproven_seconds as unproven
     from coverage_proof where source_id = $1 and day >= $2::date order by day limit $3`,
    [id, new Date(DAY0).toISOString().slice(0, 10), days],
  );
  return rows;
};

const laneOf = ({ method, number }: Pick<Reading, 'method' | 'number'>): Lane =>
  method === 'scrub' ? 'scrub' : method === 'pass' ? 'settle' : number === 0 ? 'live' : 'backfill';

const mustCommit = async (lease: Lease, texts: readonly string[], more: Partial<PageCommit>): Promise<Lease> => {
  const result = await commit(pool, lease, texts, more);
  if (result.kind === 'fenced') throw new Error('fenced');
  return result.lease;
};

/** The commit of the last page of a walk, with entries of these times. */
const read = async (
  lease: Lease,
  reading: Omit<Reading, 'againAfterMs'>,
  timesMs: readonly number[] = [],
): Promise<Lease> => {
  const entries = timesMs.map((timeMs, index) => entryText(`${timeMs}-${index}-${lease.commitSeq}`, timeMs));
  const more = {
    lane: laneOf(reading),
    state: idleLane,
    claims: [[reading.range]],
    reading: { ...reading, againAfterMs: DAY_MS },
  };
  return await mustCommit(lease, entries, more);
};

const hours = (from: number, to: number): Range => ({ fromMs: DAY0 + from * HOUR_MS, toMs: DAY0 + to * HOUR_MS });

const first: Omit<Reading, 'range' | 'againAfterMs'> = { method: 'first reading', number: 0, direction: 'asc' };

const scrub = (number: number): Omit<Reading, 'range' | 'againAfterMs'> => ({
  method: 'scrub',
  number,
  direction: 'desc',
});

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

const readsOf = async (id: string) => {
  const { rows } = await pool.query<{ number: number; text: string }>(
    `select number::float8 as number, orgtrail_read_text(r, 7) as text from evidence_reads r where source_id = $1 order by number`,
    [id],
  );
  return rows;
};
