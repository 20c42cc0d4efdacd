import type { ArchivedEvent, RowLimits } from '../../feed/archived/ports.ts';
import type { FeedRange } from '../../feed/feed.ts';
import type { EventColumns, FilterColumns } from './group-columns.ts';

/** The rows of a group that are wanted, in order of position, which is theirs. */
export const rowsOf = (
  columns: FilterColumns,
  { after, organizationIds, accountIds }: FeedRange,
  until: number,
): number[] => {
  const isOrganization = oneOf(columns.organization_id, organizationIds);
  const isAccount = oneOf(columns.account_id, accountIds);
  const rows: number[] = [];
  for (let row = firstBehind(columns.position, after); row < columns.position.length; row += 1) {
    if (Number(columns.position[row]) > until) break;
    if (isOrganization(row) && isAccount(row)) rows.push(row);
  }
  return rows;
};

const oneOf = (column: ArrayLike<unknown>, ids: readonly string[] | undefined): ((row: number) => boolean) => {
  if (ids === undefined) return () => true;
  const wanted = new Set(ids);
  return (row) => {
    const value = column[row];
    return value instanceof Uint8Array && wanted.has(textOf(value));
  };
};

const firstBehind = (positions: ArrayLike<unknown>, after: number): number => {
  let [low, high] = [0, positions.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (Number(positions[middle]) > after) high = middle;
    else low = middle + 1;
  }
  return low;
};

const textOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');

/** The events of these rows, as many as fit and one more. The raw texts are copied, so that the group need not stay in memory. */
export const eventsOf = (
  columns: EventColumns,
  rows: readonly number[],
  { maxEvents, maxBytes }: RowLimits,
): ArchivedEvent[] => {
  const fitting: { readonly row: number; readonly raw: Uint8Array }[] = [];
  let bytes = 0;
  for (const row of rows) {
    const raw = columns.raw[row] as Uint8Array;
    bytes += raw.length;
    // One more than fits, so that the picked ones are known to be cut.
    fitting.push({ row, raw });
    if (fitting.length > maxEvents || (fitting.length > 1 && bytes > maxBytes)) break;
  }
  const memory = Buffer.allocUnsafeSlow(bytes);
  let at = 0;
  return fitting.map(({ row, raw }) => {
    memory.set(raw, at);
    at += raw.length;
    return eventOf(columns, row, memory.subarray(at - raw.length, at));
  });
};

const eventOf = (columns: EventColumns, row: number, raw: Uint8Array): ArchivedEvent => {
  const text = (column: ArrayLike<unknown>) => column[row] as Uint8Array;
  const orNull = (column: ArrayLike<unknown>) => (column[row] ?? null) as Uint8Array | null;
  const defects = orNull(columns.defects);
  return {
    position: Number(columns.position[row]),
    sourceKind: text(columns.source_kind),
    sourceId: text(columns.source_id),
    organizationId: orNull(columns.organization_id),
    id: text(columns.id),
    actionTime: columns.action_time[row] as bigint,
    receivedAt: columns.received_at[row] as bigint,
    defects:
      defects === null
        ? null
        : textOf(defects)
            .split(',')
            .filter((name) => name !== ''),
    accountId: orNull(columns.account_id),
    accountName: orNull(columns.account_name),
    zoneId: orNull(columns.zone_id),
    zoneName: orNull(columns.zone_name),
    raw,
  };
};
