/*
 * Instants of statements: RFC 3339 in UTC, as microseconds since 1970. Years have four digits or, as PostgreSQL knows them, up to six.
 */

const form = /^(\d{4,6})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,6}))?Z$/;
const US_PER_SECOND = 1_000_000n;
const SECONDS_PER_DAY = 86_400;

/** Undefined for a text that is none, or that names a day or a time that there is not. */
export const microsecondsOf = (instant: string): bigint | undefined => {
  const match = form.exec(instant);
  if (match === null) return undefined;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1, 7).map(Number);
  const isDay = month >= 1 && month <= 12 && day >= 1 && day <= daysOfMonth(year, month);
  if (!isDay || hour > 23 || minute > 59 || second > 59) return undefined;
  const seconds = BigInt(dayNumber(year, month, day) * SECONDS_PER_DAY + hour * 3_600 + minute * 60 + second);
  return seconds * US_PER_SECOND + BigInt((match[7] ?? '').padEnd(6, '0'));
};

/** RFC 3339 in UTC, with microseconds if there are any; a number of microseconds for a year that has not four digits. */
export const instantText = (us: bigint): string => {
  const fraction = ((us % US_PER_SECOND) + US_PER_SECOND) % US_PER_SECOND;
  const second = new Date(Number((us - fraction) / 1_000n));
  const text = Number.isNaN(second.getTime()) ? '' : second.toISOString();
  if (!/^\d{4}-/.test(text) || text.startsWith('0000')) return `${us} µs`;
  return `${text.slice(0, 19)}${fraction === 0n ? '' : `.${String(fraction).padStart(6, '0')}`}Z`;
};

/** Of the calendar that PostgreSQL has for all times. Months count from 1; the 13th is the first of the next year. */
export const dayNumber = (year: number, month: number, day: number): number => {
  const years = year + Math.floor((month - 1) / 12);
  const index = month - 1 - 12 * Math.floor((month - 1) / 12);
  // Of March to February, so that the day of a leap year is the last.
  const [y, m] = index < 2 ? [years - 1, index + 10] : [years, index - 2];
  const ofYear = Math.floor((153 * m + 2) / 5) + day - 1;
  return 365 * y + Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400) + ofYear - 719_468;
};

export const daysOfMonth = (year: number, month: number): number =>
  dayNumber(year, month + 1, 1) - dayNumber(year, month, 1);
