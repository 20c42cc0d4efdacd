import fc from 'fast-check';
import type { PoolClient } from 'pg';
import pino from 'pino';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { BusyError } from '../../../src/base/errors.ts';
import { ReaderMemory } from '../../../src/base/memory.ts';
import { packageFile } from '../../../src/base/package-files.ts';
import { FILTERED_SCAN_POSITIONS } from '../../../src/feed/feed.sql.ts';
import { readFeedHead } from '../../../src/feed/feed-head.sql.ts';
import { namedEventOf } from '../../../src/feed/feed-row.ts';
import type { FormatJob } from '../../../src/feed/format-rows.ts';
import { PackedRows } from '../../../src/feed/format-rows.ts';
import { FormatThreads, THREAD_FILE } from '../../../src/feed/format-threads.ts';
import { openFeed, readPieces } from '../../../src/feed/open-feed.ts';
import { type FormatName, formatNames, formats } from '../../../src/formats/registry.ts';
import { createPool } from '../../../src/postgres/pool.ts';
import { organizationNames, rowOf, someRow } from '../../support/feed/some-rows.ts';
import { createTestDatabase } from '../../support/postgres/database.ts';
import { commit, entryText, newSource, T0 } from '../../support/postgres/store-fixture.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';

const failures: unknown[] = [];

const onFailure = (error: unknown) => failures.push(error);
const open = (maxThreads = 2) => new FormatThreads({ onFailure, maxThreads, file: packageFile(THREAD_FILE) });

let threads = open();

afterEach(async () => {
  await threads.close();
  threads = open();
  failures.length = 0;
});

const ROWS = 500;
const events = fc.sample(someRow, { seed: 20261128, numRuns: ROWS });

describe('rows that are formatted in a thread', () => {
  test('are lines of every format, to the byte', async () => {
    for (const format of formatNames) {
      const job = packed(format, 4_000_000);
      const part = await threads.format(job, ROWS);
      expect(part).toMatchObject({ events: ROWS, until: events.at(-1)?.position, next: job.rowsEnd, lackingBytes: 0 });
      expect(job.memory.toString('utf8', job.rowsEnd, part.linesEnd), format).toBe(expected(format));
    }
    expect(threads.threads).toBe(1);
  });

  test('are as many lines as have room, and go on from there', async () => {
    const job = packed('ocsf', 100_000);
    const texts: string[] = [];
    let from = 0;
    while (from < job.rowsEnd) {
      const part = await threads.format({ ...job, from }, ROWS);
      expect(part.events).toBeGreaterThan(0);
      expect(part.linesEnd).toBeLessThanOrEqual(job.memory.length);
      texts.push(job.memory.toString('utf8', job.rowsEnd, part.linesEnd));
      from = part.next;
    }
    expect(texts.length).toBeGreaterThan(3);
    expect(texts.join('')).toBe(expected('ocsf'));
  });

  test('say what the first one needs if it has no room by itself', async () => {
    const job = packed('ocsf', 100);
    const { events, next, lackingBytes } = await threads.format(job, ROWS);
    expect({ events, next }).toEqual({ events: 0, next: 0 });
    const [first = ''] = expected('ocsf').split('\n');
    expect(lackingBytes).toBeGreaterThan(Buffer.byteLength(first));
    expect(lackingBytes).toBeLessThan(Buffer.byteLength(first) + 1_000);
  });
});

test('rows are formatted in this thread where the code is not that of the bundle', async () => {
  const none = new FormatThreads({ onFailure, maxThreads: 2 });
  const job = packed('ocsf', 4_000_000);
  const part = await none.format(job, ROWS);
  expect(job.memory.toString('utf8', job.rowsEnd, part.linesEnd)).toBe(expected('ocsf'));
  expect(none).toMatchObject({ threads: 0, width: 0 });
  await none.close();
});

describe('the threads', () => {
  test('are as many as there is work for at once, two at most, and none for a few rows', async () => {
    const job = packed('ecs', 4_000_000);
    const [row = events[0]] = events;
    const few = new PackedRows(organizationNames, job.memory, 10_000);
    if (row !== undefined) few.add(rowOf(row));
    expect(await threads.format({ ...job, rowsEnd: few.end, linesStart: few.end }, 1)).toMatchObject({ events: 1 });
    expect(threads.threads).toBe(0);
    await Promise.all([1, 2, 3, 4, 5].map(() => threads.format(packed('ecs', 4_000_000), ROWS)));
    expect(threads.threads).toBe(2);
  });

  test('also format a single large event, in every format, to the byte, in the place of its row', async () => {
    const event = events[0] as (typeof events)[number];
    const text = ['x"\\\n', '\u{1f600}', '\u2028\u0085', '<é'].map((part) => part.repeat(35_001)).join('');
    const raw = JSON.stringify({ large: text, resource: { request: text, response: { nested: [text] } } });
    const large = rowOf({ ...event, raw });
    const name = organizationNames.get(event.organizationId ?? '') ?? null;
    for (const format of formatNames) {
      const memory = Buffer.from(new SharedArrayBuffer(8_000_000));
      const rows = new PackedRows(organizationNames, memory, 8_000_000);
      expect(rows.add(large)).toBe(0);
      expect(rows.end).toBeGreaterThan(1_200_000);
      const line = `${formats[format].format(namedEventOf(large, 'feed', name))}\n`;
      const job = { format, feedId: 'feed', memory, rowsEnd: rows.end, linesStart: 0, from: 0 };
      const part = await threads.format(job, 1);
      expect(part).toMatchObject({ events: 1, until: event.position, next: rows.end });
      expect(memory.toString('utf8', 0, part.linesEnd) === line, format).toBe(true);
    }
    expect(threads.threads).toBe(1);
  });

  test('go on with the rest if an event cannot be formatted: that one alone fails', async () => {
    const broken = packed('unknown' as FormatName, 4_000_000);
    const one = open(1);
    const [fails, other] = await Promise.allSettled([
      one.format(broken, ROWS),
      one.format(packed('cef', 4_000_000), ROWS),
    ]);
    expect(fails).toMatchObject({ status: 'rejected', reason: expect.any(TypeError) });
    expect(other).toMatchObject({ status: 'fulfilled', value: { events: ROWS } });
    expect(failures).toEqual([fails.status === 'rejected' && fails.reason]);
    expect(one.threads).toBe(1);
    await one.close();
  });

  test('that fail are told of, fail what they had, and are replaced', async () => {
    const broken = { ...packed('cef', 4_000_000), memory: undefined as unknown as Buffer };
    const both = await Promise.allSettled([
      threads.format(broken, ROWS),
      threads.format(packed('cef', 4_000_000), ROWS),
    ]);
    expect(both[0]).toMatchObject({ status: 'rejected', reason: { message: expect.stringContaining('has ended') } });
    expect(both[1]).toMatchObject({ status: 'fulfilled', value: { events: ROWS } });
    expect(failures).toEqual([expect.objectContaining({ message: expect.stringContaining('buffer') })]);
    expect(threads.threads).toBe(1);
    await Promise.all([1, 2].map(() => threads.format(packed('cef', 4_000_000), ROWS)));
    expect(threads.threads).toBe(2);
  });

  test('end after a minute without work, and start again', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      await threads.format(packed('leef', 4_000_000), ROWS);
      await vi.advanceTimersByTimeAsync(59_000);
      await threads.format(packed('leef', 4_000_000), ROWS);
      await vi.advanceTimersByTimeAsync(59_000);
      expect(threads.threads).toBe(1);
      const next = vi.advanceTimersByTimeAsync(1_000).then(() => threads.format(packed('leef', 4_000_000), ROWS));
      expect(await next).toMatchObject({ events: ROWS });
      await vi.advanceTimersByTimeAsync(60_000);
      expect(threads.threads).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  test('fail what is under way when they are closed, and take no more', async () => {
    const under = threads.format(packed('ocsf', 4_000_000), ROWS);
    const fails = expect(under).rejects.toThrow('has ended');
    await threads.close();
    await fails;
    await expect(threads.format(packed('ocsf', 4_000_000), ROWS)).rejects.toThrow('closed');
  });
});

test('nothing is written to memory that has been given back, whenever a reader goes', async () => {
  const database = await createTestDatabase();
  const memory = new MarkedMemory({ totalBytes: 4 * MIB, streams: 4 });
  const threads = new FormatThreads({ onFailure: () => {}, maxThreads: 2, file: packageFile(THREAD_FILE) });
  const feed = openFeed(database.url, pino({ level: 'silent' }), { memory, threads });
  try {
    const random = seededRandom(1);
    const sizes = Array.from({ length: 900 }, (_, n) => (n % 100 === 50 ? 300_000 : Math.floor(random() * 2_000)));
    const texts = sizes.map((size, n) => entryText(`e-${n}`, T0 + n, { blob: 'x'.repeat(size) }));
    await commit(database.pool, await newSource(database.pool, 'o'), texts);
    const { feedId, position } = await readFeedHead(database.pool);
    const read = async (): Promise<void> => {
      const gone = new AbortController();
      const range = { after: Math.floor(random() * 300), until: position, organizationIds: undefined };
      let left = Math.floor(random() * 4);
      const timer = setTimeout(() => gone.abort(), random() * 200);
      for await (const { lines } of feed.source.pieces({ feedId, lastDrop: 0 }, range, 'ocsf', gone.signal)) {
        expect(lines.toString('latin1', 0, 12)).toBe('{"class_uid"');
        left -= 1;
        if (left < 0) break;
      }
      clearTimeout(timer);
    };
    for (let round = 0; round < 12; round += 1) {
      const outcomes = await Promise.allSettled([read(), read(), read(), read()]);
      const errors = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason.name] : []));
      expect(errors.filter((name) => name !== 'AbandonedError' && name !== 'AbortError')).toEqual([]);
      expect(memory.lentBytes).toBe(0);
    }
  } finally {
    await feed.close();
    await database.close();
  }
  expect(memory.written()).toBe(0);
});

test('an answer that has begun waits for a connection, also behind a stretch in which its filter finds nothing', async () => {
  const database = await createTestDatabase();
  const threads = new FormatThreads({ onFailure: () => {} });
  try {
    const { pool } = database;
    await commit(pool, await newSource(pool, 'o'), [entryText('one'), entryText('far')]);
    const far = 2 * FILTERED_SCAN_POSITIONS;
    await pool.query('update audit_events set position = $1 where position = 2', [far]);
    for (const format of ['native', 'cef'] as const) {
      const own = busyPool(database.url);
      const range = { after: 0, until: far, organizationIds: ['unknown'] };
      const parts = { pool: own, threads, memory: new ReaderMemory(), archived: undefined, gone: undefined };
      const readNames = async () => new Map<string, string>();
      const ends: number[] = [];
      const pieces = readPieces({ ...parts, readNames, range, format }, { feedId: 'feed', lastDrop: 0 });
      for await (const { until } of pieces) ends.push(until);
      expect(ends).toEqual([far - 1, far]);
      await own.end();
    }
  } finally {
    await threads.close();
    await database.close();
  }
});

/** All rows in shared memory with so much room for lines. */
const packed = (format: FormatName, linesBytes: number): FormatJob => {
  const memory = Buffer.from(new SharedArrayBuffer(1_000_000 + linesBytes));
  const rows = new PackedRows(organizationNames, memory, 1_000_000);
  for (const event of events) expect(rows.add(rowOf(event))).toBe(0);
  return {
    format,
    feedId: 'feed',
    memory: memory.subarray(0, rows.end + linesBytes),
    rowsEnd: rows.end,
    linesStart: rows.end,
    from: 0,
  };
};

const expected = (format: FormatName): string =>
  events
    .map((event) => {
      const name = organizationNames.get(event.organizationId ?? '') ?? null;
      return `${formats[format].format(namedEventOf(rowOf(event), 'feed', name))}\n`;
    })
    .join('');

const MIB = 1_048_576;
const MARK = 0xa5;

/** Lends other memory each time, and marks what is given back: a write that comes later is seen at the end. */
class MarkedMemory extends ReaderMemory {
  readonly #lent = new Map<Buffer, Buffer>();
  readonly #givenBack: Buffer[] = [];

  override lend(...how: Parameters<ReaderMemory['lend']>): Buffer {
    return this.#another(super.lend(...how));
  }

  override lendSpare(...how: Parameters<ReaderMemory['lendSpare']>): Buffer | undefined {
    const buffer = super.lendSpare(...how);
    return buffer && this.#another(buffer);
  }

  override async lendLarge(...how: Parameters<ReaderMemory['lendLarge']>): Promise<Buffer> {
    return this.#another(await super.lendLarge(...how));
  }

  override giveBack(buffer: Buffer): void {
    super.giveBack(this.#lent.get(buffer) ?? buffer);
    this.#lent.delete(buffer);
    this.#givenBack.push(buffer.fill(MARK));
  }

  written(): number {
    return this.#givenBack.filter((buffer) => !buffer.equals(Buffer.alloc(buffer.length, MARK))).length;
  }

  #another(buffer: Buffer): Buffer {
    const other = Buffer.from(new SharedArrayBuffer(buffer.length));
    this.#lent.set(other, buffer);
    return other;
  }
}

/** A pool that has no connection for the second COPY. */
const busyPool = (url: string) => {
  const pool = createPool(url, 4, () => {});
  const connect = pool.connect.bind(pool) as (...args: unknown[]) => Promise<PoolClient>;
  let copies = 0;
  const refuseSecond = async (...args: unknown[]) => {
    // Statements of the pool itself take a connection with a callback.
    if (args.length === 0) copies += 1;
    if (args.length === 0 && copies === 2) throw new BusyError('all connections are taken', 1);
    return await connect(...args);
  };
  return Object.assign(pool, { connect: refuseSecond }) as typeof pool;
};
