import type { SearchCursor } from '../search-cursor.ts';
import { createKnownGroups, justBefore, type KnownGroups, placeOrder, type RowPlace } from './known-groups.ts';
import type { MatchedRows, Matcher } from './matching-rows.ts';
import type { ArchivedGroup, ArchivedMonths } from './ports.ts';

/** A row of a group that was found. */
export interface PickedRow extends RowPlace {
  readonly group: ArchivedGroup;
  readonly row: number;
}

/** The time that a page is about, in microseconds since 1970; undefined: without an end on that side. */
export interface PageBounds {
  readonly direction: SearchCursor['direction'];
  readonly since: bigint | undefined;
  readonly before: bigint | undefined;
  /** Only what comes behind it in the direction. */
  readonly cursor: RowPlace | undefined;
  /** What the cursor knows of the groups of its month. */
  readonly known: string | undefined;
  /** Later positions are not looked at. */
  readonly untilPosition: number | undefined;
  readonly organization: string | undefined;
}

export interface PickedPage {
  /** In the direction of the page: at most so many as were asked for. */
  readonly rows: readonly PickedRow[];
  /** Where it was over: what comes in front of this cursor, in the direction, was looked at. Never in front of the page's own. */
  readonly reached: RowPlace | undefined;
  /** What a cursor at or behind the page's own has to say of groups that were looked at, as far as the page was over there. */
  readonly known?: KnownGroups['print'];
  /** The months that were looked at. */
  readonly months: readonly string[];
}

/** Row groups that are looked at together. */
const TOGETHER = 2;

/**
 * The first rows behind the cursor that match, at most `most`, of these months. Groups are looked at in the order of the nearest place that each
 * may have, until none can have anything nearer than what was found, or until `isOver`. Each page looks at two groups at least. If it is over
 * with nothing that is certain, as all groups may have something nearer, its end is its beginning, and `known` has how far it came.
 */
export const pickRows = async (
  source: Pick<ArchivedMonths, 'groups'>,
  months: readonly string[],
  asked: PageBounds,
  {
    matcher,
    most,
    isOver,
    signal,
  }: {
    readonly matcher: Matcher;
    readonly most: number;
    readonly isOver: () => boolean;
    readonly signal: AbortSignal | undefined;
  },
): Promise<PickedPage> => {
  const bounds = { ...asked, cursor: beginOf(asked) };
  const { direction, cursor, known, organization, untilPosition } = bounds;
  const inOrder = placeOrder(direction);
  const looked: string[] = [];
  let visited = 0;
  let picked: readonly PickedRow[] = [];
  const lastPicked = () => (picked.length < most ? undefined : picked.at(-1));
  const add = (group: ArchivedGroup, { rows, times, positions }: MatchedRows) => {
    const last = lastPicked();
    const more = rows.flatMap((row, n): PickedRow[] => {
      const one = { group, row, time: times[n] ?? 0n, position: positions[n] ?? 0 };
      return isWithin(one, bounds) && (last === undefined || inOrder(one, last) < 0) ? [one] : [];
    });
    if (more.length > 0) picked = [...picked, ...more].sort(inOrder).slice(0, most);
  };
  for (const month of direction === 'older' ? [...months].reverse() : months) {
    if (picked.length >= most) break;
    const all = (await source.groups(month, organization)).filter(
      ({ firstPosition }) => untilPosition === undefined || firstPosition <= untilPosition,
    );
    const knownGroups = createKnownGroups(all, { month, direction, cursor, known, question: matcher.question });
    const groups = wantedGroups(knownGroups, bounds);
    looked.push(month);
    for (let n = 0; n < groups.length; n += TOGETHER) {
      signal?.throwIfAborted();
      const next = groups.slice(n, n + TOGETHER);
      const nearest = next[0]?.nearest ?? { time: 0n, position: 0 };
      const last = lastPicked();
      if (last !== undefined && inOrder(last, nearest) < 0) break;
      if (visited > 0 && isOver()) {
        const rows = picked.filter((row) => inOrder(row, nearest) < 0);
        return { rows, reached: endBefore(nearest, bounds), known: knownGroups.print, months: looked };
      }
      visited += next.length;
      const found = await Promise.all(next.map(({ group }) => matcher.match(group)));
      for (const [at, { group }] of next.entries()) {
        const rows = found[at] ?? { rows: [], times: [], positions: [] };
        knownGroups.look(group, withinPosition(rows, bounds));
        add(group, rows);
      }
    }
  }
  return { rows: picked, reached: undefined, months: looked };
};

/** The cursor, or the beginning of the time that is searched if that is behind it. */
const beginOf = ({ direction, since, before, cursor }: PageBounds): RowPlace | undefined => {
  const time = direction === 'older' ? before : since;
  const begin = time === undefined ? undefined : { time, position: 0 };
  if (cursor === undefined || begin === undefined) return cursor ?? begin;
  return placeOrder(direction)(begin, cursor) > 0 ? begin : cursor;
};

/** In the order of the nearest place that each may have behind the cursor. */
const wantedGroups = (known: KnownGroups, bounds: PageBounds) => {
  const inOrder = placeOrder(bounds.direction);
  return known.groups
    .flatMap((group) => {
      const nearest = known.nearest(group);
      return nearest !== undefined && mayHave(group, bounds) && mayBegin(nearest, bounds) ? [{ group, nearest }] : [];
    })
    .sort((a, b) => inOrder(a.nearest, b.nearest));
};

/** The cursor behind which the place and what comes after it is: never in front of where the page began. */
const endBefore = (place: RowPlace, { direction, cursor }: PageBounds): RowPlace => {
  const end = justBefore(place, direction);
  return cursor !== undefined && placeOrder(direction)(end, cursor) < 0 ? cursor : end;
};

/** Whether the end of the time that is searched lies behind the place. */
const mayBegin = ({ time }: RowPlace, { direction, since, before }: PageBounds): boolean =>
  direction === 'older' ? since === undefined || time >= since : before === undefined || time < before;

/** What is behind it never counts, whatever the time is that is searched. */
const withinPosition = (found: MatchedRows, { untilPosition }: PageBounds): MatchedRows => {
  if (untilPosition === undefined) return found;
  const wanted = [...found.positions.keys()].filter((n) => (found.positions[n] ?? 0) <= untilPosition);
  const pick = <T>(values: readonly T[]) => wanted.map((n) => values[n] as T);
  return { rows: pick(found.rows), times: pick(found.times), positions: pick(found.positions) };
};

const isWithin = (row: PickedRow, { direction, since, before, cursor, untilPosition }: PageBounds): boolean =>
  (since === undefined || row.time >= since) &&
  (before === undefined || row.time < before) &&
  (untilPosition === undefined || row.position <= untilPosition) &&
  (cursor === undefined || placeOrder(direction)(row, cursor) > 0);

/** Whether any row of the group can lie within. */
const mayHave = ({ firstTime, lastTime }: ArchivedGroup, { direction, since, before, cursor }: PageBounds): boolean =>
  (since === undefined || lastTime >= since) &&
  (before === undefined || firstTime < before) &&
  (cursor === undefined || (direction === 'older' ? firstTime <= cursor.time : lastTime >= cursor.time));
