import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ArchivedRow } from '../../../src/feed/archived-rows.ts';
import type { ArchivedEvent } from '../../../src/feed/feed.ts';
import { printFeedCursor, readFeedCursor } from '../../../src/feed/feed.ts';
import { field, positionOf, textOf } from '../../../src/feed/feed-row.ts';
import { PackedRows, packedRowReader } from '../../../src/feed/format-rows.ts';
import { organizationNames, rowOf, someRow } from '../../support/feed/some-rows.ts';
import { forAll } from '../for-all.ts';

test('rows and the names of their organizations come back as they were, until there is no room', () =>
  forAll(
    [fc.array(someRow, { maxLength: 20 }), fc.integer({ min: 0, max: 4_000 })],
    { seed: 20261128, numRuns: 300 },
    (events, maxBytes) => {
      const memory = Buffer.alloc(8_000, 'x');
      const packed = new PackedRows(organizationNames, memory, maxBytes);
      const lacking = events.map((event) => packed.add(rowOf(event)));
      expect(packed.end).toBeLessThanOrEqual(maxBytes);
      const read = packedRowReader(memory);
      let at = 0;
      for (const [index, event] of events.entries()) {
        if (lacking[index] !== 0) continue;
        const { row, organizationName, end } = read(at);
        expect(positionOf(row)).toBe(event.position);
        for (const name of ['sourceKind', 'sourceId', 'organizationId', 'id', 'defects', 'accountId', 'raw'] as const) {
          expect(textOf(row, field[name])).toBe(event[name]);
        }
        expect(organizationName).toBe(organizationNames.get(event.organizationId ?? '') ?? null);
        at = end;
      }
      expect(at).toBe(packed.end);
    },
  ));

test('a row that has no room says how much it takes, and takes that in the next memory', () => {
  const row = rowOf({ ...fc.sample(someRow, { seed: 1, numRuns: 1 })[0], raw: `"${'y'.repeat(5_000)}"` } as never);
  const lacking = new PackedRows(organizationNames, Buffer.alloc(10_000), 100).add(row);
  expect(lacking).toBeGreaterThan(5_000);
  const fitting = new PackedRows(organizationNames, Buffer.alloc(10_000), lacking);
  expect(fitting.add(row)).toBe(0);
  expect(fitting.end).toBe(lacking);
});

const eventOf = (position: number, raw: string): ArchivedEvent => ({
  position,
  sourceKind: Buffer.from('organization'),
  sourceId: Buffer.from('source'),
  organizationId: null,
  id: Buffer.from(`id ${position}`),
  actionTime: 1_767_225_600_000_000n,
  receivedAt: 1_767_225_600_000_000n,
  defects: null,
  accountId: null,
  accountName: null,
  zoneId: null,
  zoneName: null,
  raw: Buffer.from(raw),
});

test('an archived event of any size is a row, also between small ones', () => {
  const row = new ArchivedRow();
  const sizes = [10, 65_400, 70_000, 10, 3_000_000, 2_000_000, 6_500_000, 10];
  for (const [index, size] of sizes.entries()) {
    const raw = JSON.stringify(String(index).repeat(size));
    const made = row.of(eventOf(index, raw));
    expect(positionOf(made)).toBe(index);
    expect(textOf(made, field.id)).toBe(`id ${index}`);
    expect(textOf(made, field.raw) === raw).toBe(true);
  }
});

const word = fc.stringMatching(/^[\w-]{1,64}$/);
const places = fc.record({
  position: fc.maxSafeNat(),
  feedId: word,
  check: fc.option(word, { nil: undefined }),
  dropped: fc.maxSafeNat(),
});

test('any place is read as it was written, and fits into an address', () =>
  forAll([places], {}, (place) => {
    const cursor = printFeedCursor(place);
    expect(cursor).toMatch(/^[\w-]{1,400}$/);
    expect(readFeedCursor(cursor)).toEqual(place);
  }));

test('what was cut off, continued or written by another program is none', () => {
  forAll([places, fc.nat()], {}, (place, at) => {
    const cursor = printFeedCursor(place);
    expect(readFeedCursor(cursor.slice(0, at % cursor.length))).toBeUndefined();
    expect(readFeedCursor(`${cursor}=`)).toBeUndefined();
  });
  for (const text of ['2 1 a b 0 .', '1 -1 a b 0 .', '1 01 a b 0 .', '1 1  b 0 .', '1 1 a b .', '1 1 a b 0 . .']) {
    expect(readFeedCursor(btoa(text).replaceAll('=', '')), text).toBeUndefined();
  }
});
