import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import type { OutgoingEvent } from '../../../src/sinks/delivery.ts';
import { type Compression, packObject, runsByDay } from '../../../src/sinks/kinds/s3.ts';
import { hostileEvents, ordinaryEvents } from '../../support/sinks/outgoing-events.ts';

const [one] = ordinaryEvents(1, 'native');

describe.each(['gzip', 'zstd'] as const)('an object of %s', (compression: Compression) => {
  test('has every line to the byte, whatever it holds, and a name by day, positions and content', async () => {
    for (const events of [ordinaryEvents(1_000, 'native'), hostileEvents('ocsf'), ordinaryEvents(1, 'logpush')]) {
      const moved = events.map((event, index) => at(event, 9_000 + index, '2026-01-31T23:59:59.999999Z'));
      const { name, bytes } = await packObject(moved, compression);
      expect(unpack[compression](bytes).toString()).toBe(events.map(({ text }) => `${text}\n`).join(''));
      const last = String(9_000 + events.length - 1).padStart(16, '0');
      const end = compression === 'gzip' ? 'gz' : 'zst';
      expect(name).toMatch(new RegExp(`^20260131/0000000000009000-${last}-[0-9a-f]{16}\\.ndjson\\.${end}$`));
    }
  });

  test('is the same to the byte when it is made again', async () => {
    const [first, again] = [
      await packObject(ordinaryEvents(2_000, 'ecs'), compression),
      await packObject(ordinaryEvents(2_000, 'ecs'), compression),
    ];
    expect(again).toEqual(first);
  });

  test('of the same positions with another content has another name', async () => {
    const events = ordinaryEvents(10, 'native');
    const changed = events.map((event, index) => (index === 7 ? { ...event, text: `${event.text} ` } : event));
    const names = await Promise.all(
      [events, changed, ordinaryEvents(10, 'ocsf')].map(async (each) => (await packObject(each, compression)).name),
    );
    expect([new Set(names).size, new Set(names.map((name) => name.slice(0, 42))).size]).toEqual([3, 1]);
  });
});

test('objects of gzip may be joined: zcat reads them one after the other', async () => {
  const events = ordinaryEvents(10, 'native');
  const objects = await Promise.all([events.slice(0, 4), events.slice(4)].map((part) => packObject(part, 'gzip')));
  const joined = Buffer.concat(objects.map(({ bytes }) => bytes));
  expect(gunzipSync(joined).toString()).toBe(events.map(({ text }) => `${text}\n`).join(''));
});

test('an object of gzip names neither a time nor a system', async () => {
  const { bytes } = await packObject(ordinaryEvents(1, 'native'), 'gzip');
  expect([...bytes.subarray(0, 10)]).toEqual([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
});

test('events of two days never share an object', () => {
  // biome-ignore format: a table
  const times = [
    '2026-01-31T23:59:59.9Z', '2026-01-31T23:59:59.999999Z', '2026-02-01T00:00:00Z', '2026-01-31T23:59:59Z',
  ];
  const events = times.map((time, index) => at(one, index + 1, time));
  // A clock that was set back gives a third run: objects keep the order of positions.
  expect(runsByDay(events).map((run) => run.map(({ event }) => event.position))).toEqual([[1, 2], [3], [4]]);
  expect(runsByDay([])).toEqual([]);
});

const at = (event: OutgoingEvent | undefined, position: number, receivedAt: string): OutgoingEvent => {
  if (event === undefined) throw new Error('no such event');
  return { ...event, event: { ...event.event, position, receivedAt } };
};

const unpack = { gzip: gunzipSync, zstd: zstdDecompressSync };
