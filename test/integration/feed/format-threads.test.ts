import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { namedEventOf } from '../../../src/feed/feed-row.ts';
import type { FormatJob } from '../../../src/feed/formatting/format-rows.ts';
import { FormatThreads, THREAD_FILE } from '../../../src/feed/formatting/format-threads.ts';
import { PackedRows } from '../../../src/feed/formatting/packed-rows.ts';
import { type FormatName, formatNames, formats } from '../../../src/formats/formats.ts';
import { packageFile } from '../../../src/package/package-files.ts';
import { organizationNames, rowOf, someRow } from '../../support/feed/some-rows.ts';

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
