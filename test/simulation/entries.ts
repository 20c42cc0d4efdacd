import type { Dice } from './dice.ts';

/** An entry, and from when on the API serves it. */
export interface Entry {
  readonly id: string;
  readonly timeMs: number;
  readonly visibleAtMs: number;
  /** Orders entries of the same time. */
  readonly rank: number;
  readonly actionType: string;
  readonly actorType: string;
  readonly text: string;
  /** What a page that has it fails with, as long as the world lasts. */
  readonly poison: 'server' | 'too_large' | 'timeout' | undefined;
}

interface Extent {
  readonly organizationId: string;
  readonly startMs: number;
  readonly faultsUntilMs: number;
  readonly horizonMs: number;
  readonly settleDelaysMs: readonly number[];
  /** So many entries of the past beside the others; 0 for none. */
  readonly dense: number;
  readonly poisoned: boolean;
}

/** In the order in which the API lists them. */
export const drawEntries = (dice: Dice, extent: Extent): readonly Entry[] => {
  const { startMs, faultsUntilMs, horizonMs, dense, poisoned } = extent;
  const times: number[] = [];
  const burst = (fromMs: number, toMs: number) => {
    let timeMs = dice.between(fromMs, toMs - 1);
    const apartMs = dice.pick([0, 0, 1, 400, 5_000]);
    for (let left = dice.pick([1, 1, 1, 2, 4, 9]); left > 0 && timeMs < toMs; left -= 1) {
      times.push(timeMs);
      timeMs += apartMs;
    }
  };
  for (let left = dice.between(0, 4); left > 0; left -= 1) burst(horizonMs, startMs);
  for (let left = dice.between(0, 7); left > 0; left -= 1) burst(startMs, faultsUntilMs);
  if (dense > 0) {
    const apartMs = dice.pick([1_500, 1_500, 300, 7]);
    const fromMs = dice.between(horizonMs, startMs - dense * apartMs);
    for (let index = 0; index < dense; index += 1) times.push(fromMs + index * apartMs);
  }
  const poison = poisoned && times.length > 0 ? dice.between(0, times.length - 1) : -1;
  return times
    .map((timeMs, index) => drawEntry(dice, extent, timeMs, index, index === poison))
    .sort((a, b) => a.timeMs - b.timeMs || a.rank - b.rank);
};

/** Visible at once. */
export const entryAt = (dice: Dice, organizationId: string, timeMs: number, index: number): Entry =>
  drawEntry(dice, { organizationId, settleDelaysMs: [0] }, timeMs, index, false);

const drawEntry = (
  dice: Dice,
  extent: Pick<Extent, 'organizationId' | 'settleDelaysMs'>,
  timeMs: number,
  index: number,
  poisoned: boolean,
): Entry => {
  const id = `${extent.organizationId}-${index}`;
  const actionType = dice.pick(['create', 'update', 'view', 'view', 'purge']);
  const actorType = dice.pick(['user', 'account', 'robot']);
  const action = { time: new Date(timeMs).toISOString(), type: actionType };
  return {
    id,
    timeMs,
    visibleAtMs: timeMs + drawLateness(dice, extent.settleDelaysMs.at(-1) ?? 0),
    rank: dice.next(),
    actionType,
    actorType,
    text: JSON.stringify({ id, action, actor: { type: actorType } }),
    poison: poisoned ? dice.pick(['server', 'too_large', 'timeout'] as const) : undefined,
  };
};

/** Mostly at once; some within the live lane's look back; some so late that only a settle pass can find them, at the
 * very end of what the last one promises, too; and a few too late for all of them. */
const drawLateness = (dice: Dice, lastDelayMs: number): number => {
  const kind = dice.next();
  if (kind < 0.82) return 0;
  if (kind < 0.9) return dice.between(0, 90_000) % (lastDelayMs + 1);
  if (kind < 0.97) return dice.between(0, lastDelayMs);
  if (kind < 0.985) return lastDelayMs;
  return lastDelayMs + dice.between(1, lastDelayMs);
};

/** What `filters` leave of entries: repeated names are alternatives, `.not` leaves its values out. */
export const matchesFilters = (entry: Entry, filters: readonly (readonly [string, string])[]): boolean => {
  const values: Readonly<Record<string, string>> = { action_type: entry.actionType, actor_type: entry.actorType };
  const positive = new Map<string, boolean>();
  for (const [name, value] of filters) {
    if (name.endsWith('.not')) {
      if (values[name.slice(0, -4)] === value) return false;
    } else positive.set(name, positive.get(name) === true || values[name] === value);
  }
  return [...positive.values()].every((matched) => matched);
};
