import { microsecondsOf, timesOfMonth } from './instants.ts';
import type { StatementOf } from './statement.ts';

/** Chapter 8 of the format: ids of the holds that were in force when a month was dropped, by what they contain of it. */
export const holdsAgainst = (
  holds: readonly StatementOf<'hold'>[],
  { month, dropped_at }: Pick<StatementOf<'drop'>, 'month' | 'dropped_at'>,
  numbers: ReadonlySet<number>,
): { readonly whole: number[]; readonly part: number[] } => {
  const [whole, part]: [number[], number[]] = [[], []];
  const times = timesOfMonth(month);
  if (times === undefined) return { whole, part };
  const released = new Set(
    holds.filter(({ action, done_at }) => action === 'released' && done_at <= dropped_at).map(({ id }) => id),
  );
  for (const { action, id, source, since, before, done_at } of holds) {
    const isInForce = action === 'added' && done_at <= dropped_at && !released.has(id);
    if (!isInForce || (source !== 0 && !numbers.has(source))) continue;
    const sinceUs = since === null ? undefined : microsecondsOf(since);
    const beforeUs = before === null ? undefined : microsecondsOf(before);
    const [from, to] = [sinceUs ?? times[0], beforeUs ?? times[1]];
    if (from <= times[0] && to >= times[1]) whole.push(id);
    else if (from < times[1] && to > times[0]) part.push(id);
  }
  return { whole, part };
};
