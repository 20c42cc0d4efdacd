import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ArchivedGroup } from '../../../src/search/archived/archived-columns.ts';
import { archivedConditions } from '../../../src/search/archived/archived-columns.ts';
import { orderOf, type PageBounds, pickRows, type RowPlace } from '../../../src/search/archived/archived-page.ts';
import type { EventQuery } from '../../../src/search/query/event-query.ts';
import type { Actor, Term } from '../../../src/search/query/terms.ts';
import { forAllAsync } from '../for-all.ts';

/** As few times as this have many events at the same time. */
const TIMES = 12;

const places = fc.array(fc.tuple(fc.nat(2), fc.nat(TIMES - 1), fc.boolean()), { maxLength: 120, size: 'max' });
const asked = fc.record({
  places,
  direction: fc.constantFrom('older' as const, 'newer' as const),
  ofGroup: fc.integer({ min: 1, max: 4 }),
  limit: fc.integer({ min: 1, max: 30 }),
  since: fc.option(fc.nat(3 * TIMES).map(BigInt), { nil: undefined }),
  before: fc.option(fc.nat(3 * TIMES).map(BigInt), { nil: undefined }),
  untilPosition: fc.option(fc.nat(140), { nil: undefined }),
  /** A group that comes into the archive behind that page. */
  lateAfter: fc.nat(10),
  late: fc.array(fc.tuple(fc.constant(1), fc.nat(TIMES - 1), fc.boolean()), { maxLength: 3 }),
});

test('pages of the archive that are over at once, with nothing remembered give each row once, in order, look at two groups each, and end', async () => {
  await forAllAsync(
    [asked],
    { numRuns: 300 },
    async ({ direction, ofGroup, limit, since, before, untilPosition, lateAfter, late, ...rest }) => {
      const rows = rowsOf([...rest.places, ...late]);
      const lateRows = rows.slice(rest.places.length);
      const history = createHistory(rows.slice(0, rest.places.length), ofGroup);
      const inOrder = orderOf(direction);
      const isWanted = ({ matches, time, position }: Row) =>
        matches &&
        (untilPosition === undefined || position <= untilPosition) &&
        (since === undefined || time >= since) &&
        (before === undefined || time < before);
      const wanted = new Set(rows.slice(0, rest.places.length).filter(isWanted));
      const found: RowPlace[] = [];
      let at: Pick<PageBounds, 'cursor' | 'known'> = { cursor: undefined, known: undefined };
      let pages = 0;
      for (;;) {
        if (pages === lateAfter && lateRows.length > 0) {
          history.add(lateRows);
          for (const row of lateRows.filter(isWanted))
            if (at.cursor === undefined || inOrder(row, at.cursor) > 0) wanted.add(row);
        }
        const bounds = { direction, since, before, untilPosition, organization: undefined, ...at };
        const page = await history.page(bounds, limit);
        expect(page.looks).toBeLessThanOrEqual(2);
        found.push(...page.rows.map(({ time, position }) => ({ time, position })));
        pages += 1;
        const last = page.rows.at(-1);
        if (page.reached === undefined && (page.rows.length < limit || last === undefined)) break;
        const cursor: RowPlace | undefined = page.reached ?? last;
        at = { cursor, known: cursor && page.known?.(cursor) };
        // Each page is at most two groups, and each row is sought in all groups at most, a second time if a late group comes.
        expect(pages).toBeLessThan(3 + 2 * (history.groups.size + 1) * (rows.length + 2));
      }
      if (pages <= lateAfter) for (const row of lateRows) wanted.delete(row);
      const expected = [...wanted].sort(inOrder).map(({ time, position }) => ({ time, position }));
      expect(found).toEqual(expected);
    },
  );
});

test('pages of the archive that are over at once, with nothing remembered need few pages if few groups have a match, though all groups span the month', async () => {
  const spanning = Array.from({ length: 200 }, (_, n) => [0, n % 2 === 0 ? 0 : TIMES - 1, n === 150] as const);
  const history = createHistory(rowsOf(spanning), 2);
  let bounds: PageBounds = {
    direction: 'older',
    since: undefined,
    before: undefined,
    cursor: undefined,
    known: undefined,
    untilPosition: undefined,
    organization: undefined,
  };
  let pages = 0;
  let rows = 0;
  for (;;) {
    const page = await history.page(bounds, 50);
    pages += 1;
    rows += page.rows.length;
    if (page.reached === undefined) break;
    bounds = { ...bounds, cursor: page.reached, known: page.known?.(page.reached) };
    expect(bounds.known?.length ?? 0).toBeLessThan(400);
  }
  expect(rows).toBe(1);
  expect(pages).toBeLessThan(53);
});

const conditionOf = (query: Partial<EventQuery>) => {
  // biome-ignore format: a table
  const [condition, ...others] = archivedConditions({
    since: undefined, before: undefined, defects: false, changed: false, ...query,
  });
  expect(others).toEqual([]);
  return condition;
};
const term = (field: Term['field'], values: string[], isNegated = false) => ({ terms: [{ field, isNegated, values }] });
const actor = (kind: Actor['kind'], value: string) => ({ actor: { kind, value } });

test.each<[Partial<EventQuery>, readonly string[]]>([
  [actor('email', 'Mira@Example.com'), ['Mira@Example.com']],
  [actor('any', 'mira*'), ['mira']],
  [actor('token', 'ci-1'), ['ci-1']],
  [term('actor', ['mira*', 'id:abc']), ['mira', 'abc']],
  [term('email', ['a@example.com', 'b*']), ['a@example.com', 'b']],
  [term('resource', ['r1*']), ['r1']],
])('of %j only values that contain one of these can meet it', (query, texts) =>
  expect(conditionOf(query)?.contains).toEqual(texts),
);

test.each<Partial<EventQuery>>([
  actor('ip', '198.51.100.0/24'),
  term('actor', ['mira*', '198.51.100.7']),
  term('email', ['a@example.com'], true),
  term('actor', ['mira*'], true),
  term('uri', ['*zones*']),
  term('action', ['create']),
])('of %j any value may meet it', (query) => expect(conditionOf(query)?.contains).toBeUndefined());

test('an id of an actor is looked for as it is, a beginning of one is not', () => {
  expect(conditionOf(actor('id', 'abc'))?.exactly).toEqual({ column: 'actor_id', value: 'abc' });
  expect(conditionOf(actor('id', 'abc*'))).toMatchObject({ contains: ['abc'] });
  expect(conditionOf(actor('id', 'abc*'))?.exactly).toBeUndefined();
});

const MONTHS = ['2024-01', '2024-02', '2024-03'];

interface Row extends RowPlace {
  readonly month: number;
  readonly matches: boolean;
}

const rowsOf = (places: readonly (readonly [number, number, boolean])[]): Row[] =>
  places.map(([month, time, matches], n) => ({
    month,
    time: BigInt(month * TIMES + time),
    position: n + 1,
    matches,
  }));

/** A page, and how many groups it looked at. */
const createHistory = (rows: readonly Row[], most: number) => {
  const groups = new Map<string, { group: ArchivedGroup; rows: readonly Row[] }>();
  const add = (some: readonly Row[]) => {
    const times = some.map(({ time }) => time).sort((a, b) => Number(a - b));
    const name = `${groups.size + 1} 0`;
    const group = {
      name,
      month: MONTHS[some[0]?.month ?? 0] ?? '',
      rows: some.length,
      firstPosition: some[0]?.position ?? 0,
      lastPosition: some.at(-1)?.position ?? 0,
      firstTime: times[0] ?? 0n,
      lastTime: times.at(-1) ?? 0n,
      mayHave: () => true,
      columns: () => Promise.reject(new Error('nothing reads columns here')),
      columnsOfRows: () => Promise.reject(new Error('nothing reads columns here')),
    };
    groups.set(name, { group, rows: some });
  };
  for (const [month] of MONTHS.entries()) {
    const all = rows.filter((row) => row.month === month);
    for (let from = 0; from < all.length; from += most) add(all.slice(from, from + most));
  }
  let looks = 0;
  const matcher = {
    question: 'q',
    match: ({ name }: ArchivedGroup) => {
      looks += 1;
      const found = groups.get(name)?.rows.filter(({ matches }) => matches) ?? [];
      return Promise.resolve({
        rows: found.map((_, n) => n),
        times: found.map(({ time }) => time),
        positions: found.map(({ position }) => position),
      });
    },
  };
  const source = {
    groups: (month: string) =>
      Promise.resolve([...groups.values()].flatMap(({ group }) => (group.month === month ? [group] : []))),
  };
  const page = async (bounds: PageBounds, limit: number) => {
    looks = 0;
    const options = { matcher, most: limit, isOver: () => true, signal: undefined };
    return { ...(await pickRows(source, MONTHS, bounds, options)), looks };
  };
  return { add, page, groups };
};
