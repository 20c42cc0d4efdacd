const rfc3339 = /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,12}))?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/;

const daysInMonth = (year: number, month: number): number => new Date(Date.UTC(year, month, 0)).getUTCDate();

/**
 * Reads an RFC 3339 instant into milliseconds since 1970, rounded down; undefined for anything else.
 * Stricter than `Date.parse` (which takes 2024-02-30 for 1 March) and than PostgreSQL (which takes `now`): what passes
 * here, PostgreSQL reads as the same instant. A leap second (`:60`) counts as the second after it, as there.
 */
export const parseInstantMs = (text: string): number | undefined => {
  const match = rfc3339.exec(text);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) return undefined;
  if (hour > 23 || minute > 59 || second > 60) return undefined;
  const offsetHours = Number(match[9] ?? 0);
  const offsetMinutes = Number(match[10] ?? 0);
  if (offsetHours > 15 || offsetMinutes > 59) return undefined;
  const fractionMs = Number((match[7] ?? '').padEnd(3, '0').slice(0, 3));
  const offsetMs = (match[8] === '-' ? -1 : 1) * (offsetHours * 60 + offsetMinutes) * 60_000;
  const utc = new Date(0);
  // Not Date.UTC: it takes the years 0 to 99 for 1900 to 1999.
  utc.setUTCFullYear(year, month - 1, day);
  utc.setUTCHours(hour, minute, second, fractionMs);
  return utc.getTime() - offsetMs;
};

/** Reads a date (`2024-01-31`, UTC) or an RFC 3339 instant, as the API's own `since` and `before` do. */
export const parseDateOrInstantMs = (text: string): number | undefined =>
  /^\d{4}-\d{2}-\d{2}$/.test(text) ? parseInstantMs(`${text}T00:00:00Z`) : parseInstantMs(text);
