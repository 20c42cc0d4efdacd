import { expect, test } from 'vitest';
import { ArchivedRow } from '../../../../src/feed/archived/archived-row.ts';
import type { ArchivedEvent } from '../../../../src/feed/archived/ports.ts';
import { field, positionOf, textOf } from '../../../../src/feed/feed-row.ts';

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
