import fc from 'fast-check';
import { ArchivedRow } from '../../../src/feed/archived-rows.ts';
import type { BinaryRow } from '../../../src/postgres/copy.ts';

export const organizationNames: ReadonlyMap<string, string | null> = new Map([
  ['one', 'Ünïcode "quoted" \\ \u2028'],
  ['nameless', null],
  ['', 'the one without an id'],
]);

const text = fc.string({ unit: 'grapheme', maxLength: 20 });
const maybe = fc.option(text, { nil: null });

/** The fields of an event as the database has them. */
export const someRow = fc.record({
  position: fc.maxSafeNat(),
  sourceKind: fc.constantFrom('organization', 'account'),
  sourceId: text,
  organizationId: fc.constantFrom('one', 'nameless', 'unknown', null),
  id: text,
  actionTime: fc.bigInt({ min: 0n, max: 4_000_000_000_000_000n }),
  receivedAt: fc.bigInt({ min: 0n, max: 4_000_000_000_000_000n }),
  defects: fc.constantFrom(null, '["time_missing"]'),
  accountId: maybe,
  accountName: maybe,
  zoneId: maybe,
  zoneName: maybe,
  raw: fc.json().map((json) => json.replaceAll('\0', '')),
});

type SomeRow = typeof someRow extends fc.Arbitrary<infer T> ? T : never;

const bytes = (value: string | null): Uint8Array | null => (value === null ? null : Buffer.from(value));

/** The row as COPY would have sent it. */
export const rowOf = ({ position, actionTime, receivedAt, defects, ...texts }: SomeRow): BinaryRow =>
  new ArchivedRow().of({
    position,
    actionTime,
    receivedAt,
    defects: defects === null ? null : (JSON.parse(defects) as string[]),
    sourceKind: Buffer.from(texts.sourceKind),
    sourceId: Buffer.from(texts.sourceId),
    organizationId: bytes(texts.organizationId),
    id: Buffer.from(texts.id),
    accountId: bytes(texts.accountId),
    accountName: bytes(texts.accountName),
    zoneId: bytes(texts.zoneId),
    zoneName: bytes(texts.zoneName),
    raw: Buffer.from(texts.raw),
  });
