import type { Dice } from './dice.ts';

/** An entry of an audit log, and the moment from which the API shows it. */
export interface Entry {
  readonly id: string;
  readonly timeMs: number;
  readonly visibleAtMs: number;
  /** Its place among those of the same time. */
  readonly rank: number;
  /** The exact text. */
  readonly text: string;
}

interface Extent {
  readonly organizationId: string;
  readonly startMs: number;
  readonly faultsUntilMs: number;
  readonly horizonMs: number;
  readonly settleDelaysMs: readonly number[];
  /** Some hundred entries of the past, as many as it takes for pages of 100. */
  readonly dense: boolean;
}

/** In the order in which the API lists them. */
export const drawEntries = (dice: Dice, extent: Extent): readonly Entry[] => {
  const { startMs, faultsUntilMs, horizonMs, dense } = extent;
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
  if (dense) {
    const count = dice.pick([99, 100, 101, 200, 250]);
    const fromMs = dice.between(horizonMs, startMs - count * 1_500);
    for (let index = 0; index < count; index += 1) times.push(fromMs + index * 1_500);
  }
  return times
    .map((timeMs, index) => drawEntry(dice, extent, timeMs, index))
    .sort((a, b) => a.timeMs - b.timeMs || a.rank - b.rank);
};

const drawEntry = (dice: Dice, extent: Extent, timeMs: number, index: number): Entry => {
  const id = `${extent.organizationId}-${index}`;
  const action = { time: new Date(timeMs).toISOString() };
  return {
    id,
    timeMs,
    visibleAtMs: timeMs + drawLateness(dice, extent.settleDelaysMs.at(-1) ?? 0),
    rank: dice.next(),
    text: JSON.stringify({ id, action }),
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
