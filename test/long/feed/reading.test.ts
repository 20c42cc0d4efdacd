import pino from 'pino';
import { beforeAll, describe, expect, test } from 'vitest';
import { BusyError } from '../../../src/base/errors.ts';
import { ReaderMemory } from '../../../src/base/memory.ts';
import { packageFile } from '../../../src/base/package-files.ts';
import { retryWhileBusy } from '../../../src/feed/chunks.ts';
import { eachFeedRow, readOrganizationNames } from '../../../src/feed/feed.sql.ts';
import { readFeedHead } from '../../../src/feed/feed-head.sql.ts';
import { eventOf } from '../../../src/feed/feed-row.ts';
import { FormatThreads, THREAD_FILE } from '../../../src/feed/format-threads.ts';
import { NativeLines } from '../../../src/feed/native-lines.ts';
import { type Feed, openFeed, readPieces } from '../../../src/feed/open-feed.ts';
import type { FeedEvent } from '../../../src/formats/format.ts';
import { formatNative } from '../../../src/formats/native.ts';
import { type FormatName, formatNames, formats } from '../../../src/formats/registry.ts';
import { createSharedPool } from '../../../src/postgres/open-pool.ts';
import { AbandonedError } from '../../../src/postgres/pool.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { waitingBackends, withLock } from '../../support/postgres/lock-waits.ts';
import { addSources, commit, entryText, pageOf, T0, takeLease } from '../../support/postgres/store-fixture.ts';
import { ofAllTests } from '../../support/process/of-tests.ts';
import { strangeEntries, unholdableEntries, unnamedEntries } from '../../support/sync/defective-entries.ts';

const database = databaseOfTests();
const feed = ofAllTests(() => openFeed(database.url, pino({ level: 'silent' }), { threads: bundledThreads() }));
let end = 0;
beforeAll(async () => {
  const { pool } = database;
  await addSources(pool, ['plain', 'defective', 'odd', 'large']);
  await pool.query('update organizations set name = $1 where id = $2', [ODD_NAME, 'odd']);
  await pool.query("update organizations set name = null where id = 'large'");
  const lease = { plain: await takeLease(pool, 'plain'), defective: await takeLease(pool, 'defective') };
  await commit(
    pool,
    lease.plain,
    Array.from({ length: PLAIN }, (_, n) => entryText(`p-${n}`, T0 + n * 86_400_000)),
  );
  await commit(
    pool,
    lease.defective,
    [...unnamedEntries, ...unholdableEntries, ...strangeEntries].map(({ text }) => text),
  );
  await commit(pool, await takeLease(pool, 'odd'), [
    entryText('line-break').replace('{', '{\n'),
    entryText('carriage-return').replace('{', '{\r'),
    entryText('id "with" \\ escapes'),
    entryText('ид-и-ещё-多字节-😀'),
    entryText('early').replace(/"time":"[^"]*"/, '"time":"0999-12-31T23:59:59.999999Z"'),
    entryText('last year').replace(/"time":"[^"]*"/, '"time":"9999-12-31T23:59:59.999Z"'),
    entryText('microseconds').replace(/"time":"[^"]*"/, '"time":"2026-01-10T08:00:00.000001Z"'),
    entryText('leap day').replace(/"time":"[^"]*"/, '"time":"2024-02-29T00:00:00-11:30"'),
  ]);
  const bulk = { blob: 'x'.repeat(300_000) };
  await commit(pool, await takeLease(pool, 'large'), [
    ...Array.from({ length: 18 }, (_, n) => entryText(`l-${n}`, T0, bulk)),
    entryText('l-single', T0, { blob: 'y'.repeat(4_000_000) }),
    // Each of these characters is one byte here, and six of JSON in a line that holds the entry twice.
    ...Array.from({ length: 12 }, (_, n) => entryText(`l-longer-${n}`, T0, { blob: '\x7f'.repeat(50_000) })),
    entryText('l-last'),
  ]);
  end = (await readFeedHead(pool)).position;
});

describe('an event as it is read', () => {
  test('is what is stored: position, organization, times to the microsecond, the text to the byte, defects', async () => {
    const { list, until } = await listOf(all());
    expect(until).toBe(end);
    const { rows } = await database.pool.query(
      `select e.position::float8 as position, 'feed' as "feedId", source_kind as "sourceKind", source_id as "sourceId",
         organization_id as "organizationId", o.name as "organizationName", account_id as "accountId",
         account_name as "accountName", zone_id as "zoneId", zone_name as "zoneName", e.id, e.raw::text as "rawText", defects,
         case when action_time > '-infinity' then to_char(action_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') end as "actionTime",
         to_char(received_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "receivedAt"
       from audit_events e left join organizations o on o.id = e.organization_id order by 1`,
    );
    expect(list).toEqual(rows);
    expect(list.length).toBe(end);
    expect(list.some(({ defects }) => defects !== null)).toBe(true);
    expect(list.some(({ actionTime }) => actionTime === null)).toBe(true);
    expect(list.filter(({ organizationId }) => organizationId === 'odd')[0]?.organizationName).toBe(ODD_NAME);
  });

  test('is written as the format native writes it, to the byte, whatever is in it', async () => {
    const odd = await context('feed "1"');
    const native = new NativeLines(odd);
    native.writeInto(Buffer.alloc(32_000_000));
    const expected: string[] = [];
    await eachFeedRow(database.pool, all(), LIMITS, (row) => {
      expected.push(`${formatNative(eventOf(row, odd))}\n`);
      return native.add(row);
    });
    expect(expected.length).toBe(end);
    expect(native.written().toString('utf8')).toBe(expected.join(''));
    for (const line of expected) expect(() => JSON.parse(line)).not.toThrow();
  });

  test('of a time that RFC 3339 cannot say has none', async () => {
    const { pool } = database;
    await pool.query('begin');
    try {
      await pool.query("update audit_events set action_time = '20000-01-01' where id = 'last year'");
      const { list } = await listOf(all());
      const times = list.filter(({ id }) => id === 'last year').map(({ actionTime }) => actionTime);
      expect(times).toEqual([null]);
    } finally {
      await pool.query("update audit_events set action_time = '9999-12-31T23:59:59.999Z' where id = 'last year'");
      await pool.query('commit');
    }
  });
});

describe('pieces of a range', () => {
  test('have every event once, in order, and no piece more than eight megabytes, but for a single large event', async () => {
    const { pieces, lines } = await linesOf(all());
    expect(lines.map((line) => JSON.parse(line).position)).toEqual(Array.from({ length: end }, (_, n) => n + 1));
    expect(pieces.map(({ events }) => events).reduce((a, b) => a + b)).toBe(end);
    expect(pieces.at(-1)?.until).toBe(end);
    expect(pieces.length).toBeGreaterThan(2);
    for (const { text, events } of pieces) expect(text.length <= 8 * MIB || events === 1).toBe(true);
  });

  test('are the same events, in smaller pieces, where there is little memory, and all of it is given back', async () => {
    const memory = new ReaderMemory({ totalBytes: 4 * MIB, streams: 4 });
    const frugal = openFeed(database.url, pino({ level: 'silent' }), { memory, threads: bundledThreads() });
    for (const format of ['native', 'ecs', 'ocsf'] as const) {
      const { pieces, lines } = await linesOf(all(), format, frugal);
      expect(lines).toEqual((await linesOf(all(), format)).lines);
      for (const { text, events } of pieces) expect(text.length <= MIB || events === 1).toBe(true);
      expect(memory.lentBytes).toBe(0);
    }
    for (const format of ['native', 'ocsf'] as const) {
      const some = frugal.source.pieces({ feedId: 'feed', lastDrop: 0 }, all(), format)[Symbol.asyncIterator]();
      await some.next();
      expect(memory.lentBytes).toBeGreaterThan(0);
      await some.return?.();
      expect(memory.lentBytes).toBe(0);
    }
    await frugal.close();
  });

  test('of a reader that has gone end at once, and give back their memory', async () => {
    const memory = new ReaderMemory();
    const left = openFeed(database.url, pino({ level: 'silent' }), { memory, threads: bundledThreads() });
    const gone = new AbortController();
    await withLock(database.pool, 'lock table audit_events', async () => {
      const head = { feedId: 'feed', lastDrop: 0 };
      const reading = left.source.pieces(head, all(), 'native', gone.signal)[Symbol.asyncIterator]().next();
      const fails = expect(reading).rejects.toBeInstanceOf(AbandonedError);
      await waitingBackends(database.pool, 1);
      expect(memory.lentBytes).toBeGreaterThan(0);
      gone.abort();
      await fails;
    });
    expect(memory.lentBytes).toBe(0);
    await left.close();
  });

  test.each(formatNames)('in the format %s are the same events, each as the format writes it', async (format) => {
    const { pieces, lines } = await linesOf(all(), format);
    expect(pieces.at(-1)?.until).toBe(end);
    expect(pieces.map(({ events }) => events).reduce((a, b) => a + b)).toBe(end);
    const { list } = await listOf(all());
    expect(lines).toEqual(list.map((event) => formats[format].format(event)));
  });

  test('with a filter have only the events of these organizations, and end where the range ends', async () => {
    const { pieces, lines } = await linesOf({ ...all(), organizationIds: ['odd', "x' or true --"] });
    expect(lines.map((line) => JSON.parse(line).organization_id)).toEqual(Array.from({ length: 8 }, () => 'odd'));
    expect(pieces.at(-1)?.until).toBe(end);
    expect((await linesOf({ ...all(), organizationIds: ['unknown'] })).lines).toEqual([]);
  });

  test('of a reader whose answer has begun wait while others have all connections; the first one is refused', async () => {
    const shared = { max: 1, what: 'a test', maxWaitMs: 50 };
    const pool = createSharedPool(database.url, shared, () => {});
    const threads = bundledThreads();
    const readNames = () => readOrganizationNames(database.pool);
    const parts = { pool, threads, memory: new ReaderMemory(), archived: undefined, gone: undefined, readNames };
    const pieces = () => readPieces({ ...parts, range: all(), format: 'ocsf' }, { feedId: 'feed', lastDrop: 0 });
    const others = await pool.connect();
    await expect(pieces().next()).rejects.toBeInstanceOf(BusyError);
    others.release();
    const begun = pieces();
    let events = (await begun.next()).value?.events ?? 0;
    const more = await retryWhileBusy(() => pool.connect(), new AbortController().signal);
    const next = begun.next();
    await expect(pool.query('select')).rejects.toBeInstanceOf(BusyError);
    more.release();
    for (let piece = await next; piece.done !== true; piece = await begun.next()) events += piece.value.events;
    expect(events).toBe(end);
    expect(parts.memory.lentBytes).toBe(0);
    await threads.close();
    await pool.end();
  });

  test('of nothing are none', async () => {
    expect((await linesOf({ after: end, until: end, organizationIds: undefined })).pieces).toEqual([]);
  });
});

test('a page that is read while it is written is not seen in part', async () => {
  const { pool } = database;
  const { position } = await readFeedHead(pool);
  await commit(pool, await takeLease(pool, 'plain'), pageOf([entryText('later-1'), entryText('later-2')]));
  const { list } = await listOf({ ...all(), after: position, until: position + 5 });
  expect(list.map(({ id }) => id)).toEqual(['later-1', 'later-2']);
});

const ODD_NAME = 'Ünïcode "quoted" \\ \u2028 and\ttab';
const PLAIN = 40;
const LIMITS = { maxEvents: 1_000_000, maxBytes: 32_000_000 };
const MIB = 1_048_576;

/** As in the bundle. */
const bundledThreads = () => new FormatThreads({ onFailure: () => {}, maxThreads: 2, file: packageFile(THREAD_FILE) });

const listOf = async (range: Parameters<typeof eachFeedRow>[1]) => {
  const list: FeedEvent[] = [];
  const odd = await context('feed');
  const end = await eachFeedRow(database.pool, range, LIMITS, (row) => {
    list.push(eventOf(row, odd));
    return 0;
  });
  return { list, ...end };
};

const context = async (feedId: string) => ({ feedId, organizationNames: await readOrganizationNames(database.pool) });
const all = () => ({ after: 0, until: end, organizationIds: undefined });

const linesOf = async (
  range: Parameters<Feed['source']['pieces']>[1],
  format: FormatName = 'native',
  { source } = feed,
) => {
  const pieces: { until: number; events: number; text: string }[] = [];
  for await (const { until, events, lines } of source.pieces({ feedId: 'feed', lastDrop: 0 }, range, format)) {
    pieces.push({ until, events, text: lines.toString('utf8') });
  }
  const lines = pieces.flatMap(({ text }) => text.split('\n').slice(0, -1));
  return { pieces, lines };
};
