import type { FeedRange } from '../../feed/feed.ts';
import type { GroupColumns, GroupPlace } from '../parquet/row-groups.ts';
import type { HistoryObject } from './history-objects.sql.ts';

/** What tells which entries are about a user, and what each is a copy of. */
export const copyColumns = [
  'position',
  'organization_id',
  'account_id',
  'source_kind',
  'resource_scope',
  'id',
  'action_time',
] as const;

interface UserRow {
  readonly position: number;
  readonly organizationId: string | null;
  readonly accountId: string | null;
}

/** The entries of a row group that are about a user, by what their copies have in common. */
export interface UserRows {
  readonly byKey: ReadonlyMap<string, readonly UserRow[]>;
  /** Of those alone, by position. */
  readonly keys: ReadonlyMap<number, { readonly key: string; readonly actionTime: bigint }>;
}

/** As `aboutUser` in src/feed/copies.ts. */
const userScopes = new Set(['user', 'memberships']);

export const userRowsOf = (columns: GroupColumns<(typeof copyColumns)[number]>): UserRows => {
  const byKey = new Map<string, UserRow[]>();
  const keys = new Map<number, { key: string; actionTime: bigint }>();
  const text = (column: ArrayLike<unknown>, row: number): string | null => {
    const value = column[row];
    return value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : null;
  };
  for (let row = 0; row < columns.position.length; row += 1) {
    if (!userScopes.has(text(columns.resource_scope, row) ?? '')) continue;
    if (text(columns.source_kind, row) !== 'account') continue;
    const position = Number(columns.position[row]);
    const actionTime = columns.action_time[row] as bigint;
    const key = `${actionTime} ${text(columns.id, row)}`;
    const found = {
      position,
      organizationId: text(columns.organization_id, row),
      accountId: text(columns.account_id, row),
    };
    byKey.set(key, [...(byKey.get(key) ?? []), found]);
    keys.set(position, { key, actionTime });
  }
  return { byKey, keys };
};

export interface CopySource {
  userRows(object: HistoryObject, place: GroupPlace): Promise<UserRows>;
  groupsOf(object: HistoryObject): Promise<readonly GroupPlace[]>;
  /** All objects of a month that begin up to a position. */
  objectsOfMonth(month: string, upTo: number): Promise<readonly HistoryObject[]>;
}

/**
 * Of positions of one row group, which are no copies of an entry with a lower position that the reader gets as well: as `isFirstCopy`. Copies
 * have the time of their entry, so they are in the same month.
 */
export const firstCopiesOf = async (
  source: CopySource,
  { object, place }: { readonly object: HistoryObject; readonly place: GroupPlace },
  positions: readonly number[],
  range: FeedRange,
): Promise<ReadonlySet<number>> => {
  const firsts = new Set(positions);
  const { keys } = await source.userRows(object, place);
  const open = new Map(
    positions.flatMap((position) => (keys.has(position) ? [[position, keys.get(position)]] : [])),
  ) as Map<number, { readonly key: string; readonly actionTime: bigint }>;
  const highest = Math.max(0, ...open.keys());
  for (const other of open.size === 0 ? [] : await source.objectsOfMonth(object.month, highest)) {
    for (const group of await source.groupsOf(other)) {
      if (group.firstPosition >= highest || ![...open.values()].some(({ actionTime }) => hasTime(group, actionTime)))
        continue;
      const { byKey } = await source.userRows(other, group);
      for (const [position, { key }] of open) {
        if (!byKey.get(key)?.some((row) => row.position < position && meets(row, range))) continue;
        firsts.delete(position);
        open.delete(position);
      }
    }
  }
  return firsts;
};

const hasTime = ({ firstActionTime, lastActionTime }: GroupPlace, time: bigint): boolean =>
  firstActionTime <= time && lastActionTime >= time;

const meets = ({ organizationId, accountId }: UserRow, { organizationIds, accountIds }: FeedRange): boolean =>
  (organizationIds === undefined || (organizationId !== null && organizationIds.includes(organizationId))) &&
  (accountIds === undefined || (accountId !== null && accountIds.includes(accountId)));
