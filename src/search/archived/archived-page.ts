import type { SearchCursor } from '../search-cursor.ts';
import type { MatchedRows } from './matching-rows.ts';
import type { ArchivedGroup, ArchivedMonths } from './ports.ts';

/** A row of a group that was found. */
export interface PickedRow {
  readonly group: ArchivedGroup;
  readonly row: number;
  readonly time: bigint;
  readonly position: number;
}

/** The time that a page is about, in microseconds since 1970; undefined: without an end on that side. */
export interface PageBounds {
  readonly direction: SearchCursor['direction'];
  readonly since: bigint | undefined;
  readonly before: bigint | undefined;
  /** Only what comes behind it in the direction. */
  readonly cursor: { readonly time: bigint; readonly position: number } | undefined;
  /** Later positions are not looked at. */
  readonly untilPosition: number | undefined;
  readonly organization: string | undefined;
}

export interface PickedPage {
  /** In the direction of the page: at most so many as were asked for. */
  readonly rows: readonly PickedRow[];
  /** The time at which it was over: what comes in front of it, in the direction, was looked at, and nothing of itself. */
  readonly reached: bigint | undefined;
  /** The months that were looked at. */
  readonly months: readonly string[];
}

/** Row groups that are looked at together. */
const TOGETHER = 2;

/**
 * The first rows behind the cursor that match, at most `most`, of these months. Groups are looked at in the order of the nearest time that each
 * may have, until none can have anything nearer than what was found, or until `isOver` and what was looked at reaches further than the cursor: a
 * page without rows goes on as well, whatever is remembered.
 */
export const pickRows = async (
  source: Pick<ArchivedMonths, 'groups'>,
  months: readonly string[],
  bounds: PageBounds,
  {
    match,
    most,
    isOver,
    signal,
  }: {
    readonly match: (group: ArchivedGroup) => Promise<MatchedRows>;
    readonly most: number;
    readonly isOver: () => boolean;
    readonly signal: AbortSignal | undefined;
  },
): Promise<PickedPage> => {
  const isOlder = bounds.direction === 'older';
  const looked: string[] = [];
  let visited = 0;
  let picked: readonly PickedRow[] = [];
  const nearest = ({ firstTime, lastTime }: ArchivedGroup) => (isOlder ? lastTime : firstTime);
  const isNearer = (a: bigint, b: bigint) => (isOlder ? a > b : a < b);
  const inOrder = isOlder ? older : newer;
  const isBehind = (group: ArchivedGroup) => {
    const last = picked.length < most ? undefined : picked.at(-1);
    return last !== undefined && isNearer(last.time, nearest(group));
  };
  const add = (group: ArchivedGroup, { rows, times, positions }: MatchedRows) => {
    const last = picked.length < most ? undefined : picked.at(-1);
    const more = rows.flatMap((row, n): PickedRow[] => {
      const one = { group, row, time: times[n] ?? 0n, position: positions[n] ?? 0 };
      return isWithin(one, bounds) && (last === undefined || inOrder(one, last) < 0) ? [one] : [];
    });
    if (more.length > 0) picked = [...picked, ...more].sort(inOrder).slice(0, most);
  };
  for (const month of isOlder ? [...months].reverse() : months) {
    if (picked.length >= most) break;
    const groups = (await source.groups(month, bounds.organization))
      .filter((group) => mayHave(group, bounds))
      .sort((a, b) => (nearest(a) === nearest(b) ? 0 : isNearer(nearest(a), nearest(b)) ? -1 : 1));
    looked.push(month);
    for (let n = 0; n < groups.length; n += TOGETHER) {
      signal?.throwIfAborted();
      const next = groups.slice(n, n + TOGETHER);
      const [first] = next;
      if (first === undefined || isBehind(first)) break;
      const reached = nearest(first);
      if (visited > 0 && isOver() && isFurther(reached, bounds)) {
        return { rows: picked.filter(({ time }) => isNearer(time, reached)), reached, months: looked };
      }
      visited += next.length;
      const found = await Promise.all(next.map(match));
      for (const [at, group] of next.entries()) add(group, found[at] ?? { rows: [], times: [], positions: [] });
    }
  }
  return { rows: picked, reached: undefined, months: looked };
};

/** Up to here, in the direction, all is known if nothing at or behind the time was looked at. */
export const endBefore = (
  time: bigint,
  direction: SearchCursor['direction'],
): Pick<PickedRow, 'time' | 'position'> => ({
  time: direction === 'older' ? time + 1n : time,
  position: 0,
});

/** Whether a page that ends before the time ends behind its beginning. */
const isFurther = (time: bigint, { direction, cursor }: PageBounds): boolean => {
  const end = endBefore(time, direction);
  return cursor === undefined || (direction === 'older' ? older : newer)(end, cursor) > 0;
};

const newer = (a: Pick<PickedRow, 'time' | 'position'>, b: Pick<PickedRow, 'time' | 'position'>): number =>
  a.time === b.time ? a.position - b.position : a.time < b.time ? -1 : 1;
const older = (a: Pick<PickedRow, 'time' | 'position'>, b: Pick<PickedRow, 'time' | 'position'>): number => newer(b, a);

const isWithin = (row: PickedRow, { direction, since, before, cursor, untilPosition }: PageBounds): boolean =>
  (since === undefined || row.time >= since) &&
  (before === undefined || row.time < before) &&
  (untilPosition === undefined || row.position <= untilPosition) &&
  (cursor === undefined || (direction === 'older' ? newer(row, cursor) < 0 : newer(row, cursor) > 0));

/** Whether any row of the group can lie within. */
const mayHave = (
  { firstTime, lastTime, firstPosition }: ArchivedGroup,
  { direction, since, before, cursor, untilPosition }: PageBounds,
): boolean =>
  (since === undefined || lastTime >= since) &&
  (before === undefined || firstTime < before) &&
  (untilPosition === undefined || firstPosition <= untilPosition) &&
  (cursor === undefined || (direction === 'older' ? firstTime <= cursor.time : lastTime >= cursor.time));
