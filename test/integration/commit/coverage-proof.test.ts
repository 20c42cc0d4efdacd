import { describe, expect, test } from 'vitest';
import type { Range } from '../../../src/ingest/planning/coverage.ts';
import { idleLane } from '../../../src/ingest/planning/lane.ts';
import type { Lane } from '../../../src/ingest/planning/lanes.ts';
import type { Lease, PageCommit, Reading } from '../../../src/ingest/planning/source.ts';
import { startWalk } from '../../../src/ingest/planning/walk.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { commit, entryText, FILTERS, newSource, walking } from '../../support/postgres/store-fixture.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';

const database = databaseOfTests();

describe('coverage_proof', () => {
  test('the live tail of a day is one row, with all that it found', async () => {
    let lease = await newSource(database.pool, 'live');
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
    let lease = await newSource(database.pool, 'scrub');
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
    let lease = await newSource(database.pool, 'narrowed');
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
    const { rows } = await database.pool.query("select found from lanes where source_id = 'narrowed'");
    expect(rows).toEqual([{ found: {} }]);
  });

  test('a day for which the second reading finds an entry is read once until a later reading finds nothing', async () => {
    const readAgain = async () => {
      const { rows } = await database.pool.query<{ days: readonly string[] }>(
        `select array(select to_char(day, 'YYYY-MM-DD') from generate_series($1::timestamptz, $2, '1 day') day
           where read_again @> tstzrange(day, day + interval '1 day')) as days
         from coverage where source_id = 'news' and pass = 0`,
        [new Date(DAY0), new Date(DAY0 + 3 * DAY_MS)],
      );
      return rows[0]?.days;
    };
    const all = hours(0, 96);
    let lease = await newSource(database.pool, 'news');
    lease = await read(lease, { ...first, number: 1, range: all }, [DAY0]);
    await database.pool.query(
      "update coverage set noted_at = noted_at - interval '25 hours' where source_id = 'news' and pass = 0",
    );
    lease = await read(lease, { ...scrub(1), range: all }, [DAY0 + 1.5 * DAY_MS]);
    expect(await readAgain()).toEqual(['2026-03-01', '2026-03-03', '2026-03-04']);
    await read(lease, { ...scrub(2), range: all });
    expect(await readAgain()).toEqual(['2026-03-01', '2026-03-02', '2026-03-03', '2026-03-04']);
  });

  test('a fenced commit and one that ends no walk leave no reading', async () => {
    const lease = await newSource(database.pool, 'fenced');
    const range = hours(0, 1);
    await mustCommit(lease, [], { state: idleLane, claims: [[range]] });
    expect(await rowsOf('fenced')).toEqual([]);
    const late = await commit(database.pool, lease, [], {
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
    let lease = await newSource(database.pool, 'any');
    const clock = async () => {
      const { rows } = await database.pool.query('select (extract(epoch from clock_timestamp()) * 1000)::float8 as ms');
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

const isOneDay = (fromMs: number, toMs: number): boolean =>
  Math.floor(fromMs / DAY_MS) === Math.floor((toMs - 1) / DAY_MS);

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const DAY0 = Date.UTC(2026, 2, 1);

interface Row {
  readonly fromMs: number;
  readonly toMs: number;
  readonly method: string;
  readonly number: number;
  readonly direction: string;
  readonly found: number;
  readonly readFromMs: number;
  readonly readToMs: number;
}

const rowsOf = async (id: string): Promise<readonly Row[]> => {
  const ms = (name: string) => `(extract(epoch from ${name}) * 1000)::float8`;
  const { rows } = await database.pool.query<Row>(
    `select ${ms('since')} as "fromMs", ${ms('before')} as "toMs", method, number, direction, found::integer,
       ${ms('read_from')} as "readFromMs", ${ms('read_to')} as "readToMs"
     from coverage_readings where source_id = $1 and filter_hash = $2 order by since`,
    [id, FILTERS],
  );
  return rows;
};

const proofOf = async (id: string, days: number) => {
  const { rows } = await database.pool.query(
    `select to_char(day, 'YYYY-MM-DD') as day, method, number, direction, found::integer, unproven_seconds as unproven
     from coverage_proof where source_id = $1 and day >= $2::date order by day limit $3`,
    [id, new Date(DAY0).toISOString().slice(0, 10), days],
  );
  return rows;
};

const laneOf = ({ method, number }: Pick<Reading, 'method' | 'number'>): Lane =>
  method === 'scrub' ? 'scrub' : method === 'pass' ? 'settle' : number === 0 ? 'live' : 'backfill';

const mustCommit = async (lease: Lease, texts: readonly string[], more: Partial<PageCommit>): Promise<Lease> => {
  const result = await commit(database.pool, lease, texts, more);
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
