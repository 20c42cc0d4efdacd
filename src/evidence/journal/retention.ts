import { dayNumber, daysOfMonth } from './instants.ts';

/*
 * When a month may be dropped. The arithmetic is that of PostgreSQL, which counts back from now: months by the calendar, to the last day of
 * a month that is shorter, then days, then hours; in UTC.
 */

const US_PER_DAY = 86_400_000_000n;

/** An interval as PostgreSQL has it, whose parts are kept apart. */
export interface Interval {
  readonly months: number;
  readonly days: number;
  readonly us: bigint;
}

const amount = '([+-]?\\d{1,7})';
const form = new RegExp(
  `^(?:${amount} years?(?: |$))?(?:${amount} mons?(?: |$))?(?:${amount} days?(?: |$))?` +
    '(?:([+-]?)(\\d{1,7}):(\\d{2}):(\\d{2})(?:\\.(\\d{1,6}))?)?$',
);

/** Reads what PostgreSQL writes: `1 year 2 mons -3 days +04:05:06.7`. Undefined for any other text. */
export const readInterval = (text: string): Interval | undefined => {
  const match = form.exec(text);
  if (match === null || text === '' || text.endsWith(' ')) return undefined;
  const [, years = '0', months = '0', days = '0', sign, hours = '0', minutes = '0', seconds = '0', digits = ''] = match;
  const whole = BigInt(Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds));
  const us = whole * 1_000_000n + BigInt(digits.padEnd(6, '0'));
  return { months: Number(years) * 12 + Number(months), days: Number(days), us: sign === '-' ? -us : us };
};

/** An instant less an interval, in microseconds since 1970. */
export const before = (instantUs: bigint, { months, days, us }: Interval): bigint => {
  const day = floorDivide(instantUs, US_PER_DAY);
  const [year, month, dayOfMonth] = civilOf(Number(day));
  const index = year * 12 + (month - 1) - months;
  const [y, m] = [Math.floor(index / 12), index - 12 * Math.floor(index / 12) + 1];
  const moved = dayNumber(y, m, Math.min(dayOfMonth, daysOfMonth(y, m))) - days;
  return BigInt(moved) * US_PER_DAY + (instantUs - day * US_PER_DAY) - us;
};

const civilOf = (day: number): [year: number, month: number, day: number] => {
  let year = Math.floor(1970 + day / 365.2425);
  while (dayNumber(year, 1, 1) > day) year -= 1;
  while (dayNumber(year + 1, 1, 1) <= day) year += 1;
  let month = 12;
  while (dayNumber(year, month, 1) > day) month -= 1;
  return [year, month, day - dayNumber(year, month, 1) + 1];
};

const floorDivide = (value: bigint, by: bigint): bigint => value / by - (value % by < 0n ? 1n : 0n);

/** The first instant of a month (`2026-01`) and that after its last, in microseconds since 1970; undefined for events without a time. */
export const timesOfMonth = (month: string): { readonly startUs: bigint; readonly endUs: bigint } | undefined => {
  const match = /^([+-]?\d{4,6})-(\d{2})$/.exec(month);
  if (match === null) return undefined;
  const [year, number] = [Number(match[1]), Number(match[2])];
  const at = (m: number): bigint => BigInt(dayNumber(year, m, 1)) * US_PER_DAY;
  return { startUs: at(number), endUs: at(number + 1) };
};
