import fc from 'fast-check';
import { expect, test } from 'vitest';
import { field, positionOf, textOf } from '../../../../src/feed/feed-row.ts';
import { PackedRows, packedRowReader } from '../../../../src/feed/formatting/packed-rows.ts';
import { organizationNames, rowOf, someRow } from '../../../support/feed/some-rows.ts';

test('rows and the names of their organizations come back as they were, until there is no room', () => {
  fc.assert(
    fc.property(fc.array(someRow, { maxLength: 20 }), fc.integer({ min: 0, max: 4_000 }), (events, maxBytes) => {
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
    }),
    { seed: 20261128, numRuns: 300 },
  );
});

test('a row that has no room says how much it takes, and takes that in the next memory', () => {
  const row = rowOf({ ...fc.sample(someRow, { seed: 1, numRuns: 1 })[0], raw: `"${'y'.repeat(5_000)}"` } as never);
  const lacking = new PackedRows(organizationNames, Buffer.alloc(10_000), 100).add(row);
  expect(lacking).toBeGreaterThan(5_000);
  const fitting = new PackedRows(organizationNames, Buffer.alloc(10_000), lacking);
  expect(fitting.add(row)).toBe(0);
  expect(fitting.end).toBe(lacking);
});
