/* RFC 3339 in UTC as microseconds since 1970. Years have four digits, or up to six as in PostgreSQL. */

import { floorDivide } from '../bytes.ts';

const instantForm = /^(\d{4,6})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,6}))?Z$/;
const US_PER_SECOND = 1_000_000n;
const SECONDS_PER_DAY = 86_400;

/** Undefined for what is no instant. */
export const microsecondsOf = (instant: string): bigint | undefined => {
  const match = instantForm.exec(instant);
  if (match === null) return undefined;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1, 7).map(Number);
  const isDay = month >= 1 && month <= 12 && day >= 1 && day <= daysOfMonth(year, month);
  if (!isDay || hour > 23 || minute > 59 || second > 59) return undefined;
  const seconds = BigInt(dayNumber(year, month, day) * SECONDS_PER_DAY + hour * 3_600 + minute * 60 + second);
  return seconds * US_PER_SECOND + BigInt((match[7] ?? '').padEnd(6, '0'));
};

/** Microseconds are written if there are any; a year that has not four digits as a number of microseconds. */
export const instantText = (us: bigint): string => {
  const fraction = ((us % US_PER_SECOND) + US_PER_SECOND) % US_PER_SECOND;
  const second = new Date(Number((us - fraction) / 1_000n));
  const text = Number.isNaN(second.getTime()) ? '' : second.toISOString();
  if (!/^\d{4}-/.test(text) || text.startsWith('0000')) return `${us} µs`;
  return `${text.slice(0, 19)}${fraction === 0n ? '' : `.${String(fraction).padStart(6, '0')}`}Z`;
};

/** PostgreSQL's calendar for all times. Months count from 1; the 13th is January of the next year. */
const dayNumber = (year: number, month: number, day: number): number => {
  const years = year + Math.floor((month - 1) / 12);
  const index = month - 1 - 12 * Math.floor((month - 1) / 12);
  // March to February, so that the leap day is last.
  const [y, m] = index < 2 ? [years - 1, index + 10] : [years, index - 2];
  const ofYear = Math.floor((153 * m + 2) / 5) + day - 1;
  return 365 * y + Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400) + ofYear - 719_468;
};

const daysOfMonth = (year: number, month: number): number => dayNumber(year, month + 1, 1) - dayNumber(year, month, 1);

/* PostgreSQL counts back months by the calendar (to the last day of a shorter one), then days, then hours; in UTC. */

const US_PER_DAY = 86_400_000_000n;

interface Interval {
  readonly months: number;
  readonly days: number;
  readonly us: bigint;
}

const amount = '([+-]?\\d{1,7})';
const intervalForm = new RegExp(
  `^(?:${amount} years?(?: |$))?(?:${amount} mons?(?: |$))?(?:${amount} days?(?: |$))?` +
    '(?:([+-]?)(\\d{1,7}):(\\d{2}):(\\d{2})(?:\\.(\\d{1,6}))?)?$',
);

/** Reads what PostgreSQL writes: `1 year 2 mons -3 days +04:05:06.7`. Undefined for any other text. */
export const readInterval = (text: string): Interval | undefined => {
  const match = intervalForm.exec(text);
  if (match === null || text === '' || text.endsWith(' ')) return undefined;
  const [, years = '0', months = '0', days = '0', sign, hours = '0', minutes = '0', seconds = '0', digits = ''] = match;
  const whole = BigInt(Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds));
  const us = whole * 1_000_000n + BigInt(digits.padEnd(6, '0'));
  return { months: Number(years) * 12 + Number(months), days: Number(days), us: sign === '-' ? -us : us };
};

/** In microseconds since 1970. */
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

/** [start, end) in microseconds since 1970; undefined for events without a time. */
export const timesOfMonth = (month: string): { readonly startUs: bigint; readonly endUs: bigint } | undefined => {
  const match = /^([+-]?\d{4,6})-(\d{2})$/.exec(month);
  if (match === null) return undefined;
  const [year, number] = [Number(match[1]), Number(match[2])];
  const at = (m: number): bigint => BigInt(dayNumber(year, m, 1)) * US_PER_DAY;
  return { startUs: at(number), endUs: at(number + 1) };
};
