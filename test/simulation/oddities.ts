import { Dice } from './dice.ts';
import { type Entry, entryAt } from './entries.ts';
import { type ApiTraits, drawOrganization, type Oddity, type SimulatedOrganization, type World } from './world.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const SALT = 0x5bd1_e995;
/** Of each kind. */
const RATE = 0.05;

/** The organization that has the oddities of one. */
export const ODD_ORGANIZATION = 'o0';

/** The world with an oddity, if the seed draws one. It has dice of its own: worlds without stay as they are. */
export const withOddity = (world: World, seed: number): World => {
  const dice = new Dice(seed ^ SALT);
  const index = Math.floor(dice.next() / RATE);
  return index < makers.length ? (makers[index]?.(world, dice) ?? world) : world;
};

/** What else is drawn must not hide whether an oddity is told. */
const withApi = (world: World, oddity: Oddity, api: Partial<ApiTraits> = {}): World => ({
  ...world,
  oddity,
  api: { ...world.api, shortRate: 0, miscountBy: 0, ...api },
});

const makers: readonly ((world: World, dice: Dice) => World)[] = [
  (world, dice) => withApi(world, { kind: 'names_error', rate: 0.1 + dice.next() / 2 }),
  (world, dice) => {
    const { startMs, faultsUntilMs } = world;
    const filledAtMs = Math.min(faultsUntilMs, startMs + dice.pick([5_000, 30_000, 2 * MINUTE_MS, 4 * MINUTE_MS]));
    const untilMs = dice.chance(0.5) ? startMs : filledAtMs;
    const organizations = withEntries(world, ({ entries }) =>
      entries.map((entry) =>
        entry.timeMs < untilMs ? { ...entry, visibleAtMs: Math.max(entry.visibleAtMs, filledAtMs) } : entry,
      ),
    );
    return { ...withApi(world, { kind: 'fills_late', filledAtMs }), organizations };
  },
  (world, dice) => ({
    ...withApi(world, { kind: 'ignores_window', newest: dice.pick([1, 3, 7, 20, 40]), lasting: dice.chance(0.4) }),
    // It may lie in a hole by then.
    scrub: world.scrub && { ...world.scrub, removed: 0 },
  }),
  (world, dice) => {
    const pageCap = dice.between(12, 60);
    const densities = [dice.pick([pageCap, pageCap + 1, 2 * pageCap, 3 * pageCap]), 150];
    return {
      ...withApi(
        world,
        { kind: 'ignores_direction', pageCap },
        { pageCap: 1_000, order: 'honest', largestPage: Number.POSITIVE_INFINITY },
      ),
      organizations: densities.map((dense, index) => drawOrganization(dice, world, index, dense)),
    };
  },
  (world, dice) => withWidth(world, dice, (widthMs) => ({ kind: 'wide_is_empty', widthMs })),
  (world) => {
    const { cursors } = world.api;
    return withApi(
      world,
      { kind: 'empty_has_cursor' },
      {
        cursors: cursors === 'none' ? 'snapshot' : cursors,
        order: 'honest',
        lastPage: 'refused',
        precisionMs: 1,
        cursorFailure: 'bad_request',
        deadCursors: false,
        miscountBy: 0,
        windowLimit: undefined,
      },
    );
  },
  (world) => ({
    // A cursor that is refused by chance looks like an end: what lies behind one entry from both sides cannot be told then.
    ...withApi(world, { kind: 'one_entry_again' }, { windowLimit: undefined, refuseCursorRate: 0, failRate: 0 }),
    readsText: true,
    redactions: 0,
  }),
  (world, dice) =>
    withWidth(world, dice, (widthMs) => {
      return { kind: 'shows_part', widthMs, side: dice.pick(SIDES), ofOne: dice.chance(0.5) };
    }),
  // Of a look far back, a silence of two hours is believed.
  (world, dice) =>
    withWidth(world, dice, (widthMs) => ({
      kind: 'wide_lags',
      widthMs,
      lagMs: dice.between(121 * MINUTE_MS, 0.2 * widthMs),
    })),
  // A page behind which nothing can be had is that of the other side, in the other order.
  (world) =>
    withApi(
      world,
      { kind: 'sorts_pages' },
      {
        order: 'ascending',
        cursors: 'snapshot',
        deadCursors: false,
        refuseCursorRate: 0,
        emptyPageRate: 0,
        failRate: 0,
        hangRate: 0,
        slowRate: 0,
      },
    ),
];

const SIDES = ['newest', 'oldest', 'first'] as const;

/** What is told by is an entry no further away than such a window is wide, of an organization that is found in time. */
const withWidth = (world: World, dice: Dice, oddityOf: (widthMs: number) => Oddity): World => {
  const widthMs = dice.between(25, 120) * HOUR_MS;
  const horizonMs = Math.floor((world.startMs - 12 * DAY_MS) / 1_000) * 1_000;
  const organizations = withEntries(world, ({ id, entries }) => {
    const spread: Entry[] = [];
    const next = (timeMs: number, mostMs: number) => timeMs - dice.between(MINUTE_MS, mostMs);
    for (let timeMs = next(world.startMs, 20 * HOUR_MS); timeMs > horizonMs; timeMs = next(timeMs, 0.8 * widthMs))
      spread.push(entryAt(dice, id, timeMs, entries.length + spread.length));
    return [...entries, ...spread].sort((a, b) => a.timeMs - b.timeMs || a.rank - b.rank);
  }).map((organization) => ({ ...organization, below: undefined }));
  const { scrub } = world;
  return {
    ...withApi(world, oddityOf(widthMs), { windowLimit: undefined, cursorFailure: 'bad_request' }),
    horizonMs,
    organizations,
    redactions: 0,
    filtersVary: false,
    scrub: scrub && { ...scrub, removed: 0 },
  };
};

const withEntries = (
  { organizations }: World,
  entriesOf: (organization: SimulatedOrganization) => readonly Entry[],
): readonly SimulatedOrganization[] =>
  organizations.map((organization) => ({ ...organization, entries: entriesOf(organization) }));
