const rfc3339 = /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,12}))?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/;

const isLeapYear = (year: number): boolean => year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);

const daysInMonth = (year: number, month: number): number => {
  if (month === 2) return isLeapYear(year) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
};

/**
 * Milliseconds since 1970, rounded down, of an RFC 3339 instant; undefined for anything else. Stricter than `Date.parse` (2024-02-30)
 * and PostgreSQL (`now`), which reads what passes as the same instant. A leap second counts as the second after it, as there.
 */
export const parseInstantMs = (text: string): number | undefined => {
  const match = rfc3339.exec(text);
  if (match === null) return undefined;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  const [hour, minute, second] = [Number(match[4]), Number(match[5]), Number(match[6])];
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) return undefined;
  if (hour > 23 || minute > 59 || second > 60) return undefined;
  const offsetHours = Number(match[9] ?? 0);
  const offsetMinutes = Number(match[10] ?? 0);
  if (offsetHours > 15 || offsetMinutes > 59) return undefined;
  const fractionMs = Number((match[7] ?? '').padEnd(3, '0').slice(0, 3));
  const offsetMs = (match[8] === '-' ? -1 : 1) * (offsetHours * 60 + offsetMinutes) * 60_000;
  return utcMs(year, month, day) + ((hour * 60 + minute) * 60 + second) * 1_000 + fractionMs - offsetMs;
};

const utcMs = (year: number, month: number, day: number): number => {
  if (year > 99) return Date.UTC(year, month - 1, day);
  // Date.UTC takes the years 0 to 99 for 1900 to 1999.
  return new Date(0).setUTCFullYear(year, month - 1, day);
};

/** `parseInstantMs` of the bytes from `start` to `end`. */
export type ReadInstantMs = (start: number, end: number) => number | undefined;

const SHORTEST = '2024-01-31T00:00:00Z'.length;
/** A point and twelve digits. */
const LONGEST = SHORTEST + 13;
const DATE_LENGTH = 10;
const [zero, colon, point, upperT, upperZ] = [0x30, 0x3a, 0x2e, 0x54, 0x5a];

/** Reads the usual form (UTC, by `Z`) without a string for each, and a date only once in a row; others by `parseInstantMs`. */
export const createInstantReader = (bytes: Buffer): ReadInstantMs => {
  let [date, dateMs] = ['', 0];
  const digit = (at: number): number => {
    const value = (bytes[at] ?? 0) - zero;
    return value >= 0 && value <= 9 ? value : Number.NaN;
  };
  const twoDigits = (at: number): number => digit(at) * 10 + digit(at + 1);
  const isSameDate = (start: number): boolean => {
    for (let index = 0; index < DATE_LENGTH; index += 1) {
      if (bytes[start + index] !== date.charCodeAt(index)) return false;
    }
    return true;
  };
  /** NaN if not of the usual form. */
  const timeOfDayMs = (start: number, end: number): number => {
    const at = start + DATE_LENGTH;
    const isUsual =
      bytes[at] === upperT && bytes[at + 3] === colon && bytes[at + 6] === colon && bytes[end - 1] === upperZ;
    const [hour, minute, second] = [twoDigits(at + 1), twoDigits(at + 4), twoDigits(at + 7)];
    if (!isUsual || hour > 23 || minute > 59 || second > 59) return Number.NaN;
    const seconds = (hour * 60 + minute) * 60 + second;
    if (end - start === SHORTEST) return seconds * 1_000;
    if (bytes[at + 9] !== point || end - start === SHORTEST + 1) return Number.NaN;
    let [fractionMs, unit] = [0, 100];
    for (let index = at + 10; index < end - 1; index += 1) {
      fractionMs += Math.floor(digit(index) * unit);
      unit = unit > 1 ? unit / 10 : 0;
    }
    return seconds * 1_000 + fractionMs;
  };
  return (start, end) => {
    const length = end - start;
    if (length >= SHORTEST && length <= LONGEST) {
      const ms = timeOfDayMs(start, end);
      if (!Number.isNaN(ms) && isSameDate(start)) return dateMs + ms;
      if (!Number.isNaN(ms)) {
        const newDate = bytes.toString('latin1', start, start + DATE_LENGTH);
        const newDateMs = parseInstantMs(`${newDate}T00:00:00Z`);
        if (newDateMs === undefined) return undefined;
        [date, dateMs] = [newDate, newDateMs];
        return dateMs + ms;
      }
    }
    return parseInstantMs(bytes.toString('utf8', start, end));
  };
};

/** A date (`2024-01-31`, UTC) or an RFC 3339 instant, as the API's `since` and `before`. */
export const parseDateOrInstantMs = (text: string): number | undefined =>
  /^\d{4}-\d{2}-\d{2}$/.test(text) ? parseInstantMs(`${text}T00:00:00Z`) : parseInstantMs(text);

export const timeForms = '24h, 7d, now, today, yesterday, week, 14:30, 2026-01-31 or 2026-01-31T08:00Z';
const withoutSeconds = /^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2})(:\d{2}(?:\.\d{1,12})?)?([Zz]|[+-]\d{2}:\d{2})?$/;

const DAY_MS = 86_400_000;

/** When `today`, `yesterday` or the `week` (its Monday) began, or when it was last `14:30`, in UTC. Undefined for anything else. */
export const parseDayWordMs = (text: string, nowMs: number): number | undefined => {
  const day = Math.floor(nowMs / DAY_MS);
  const word = text.toLowerCase();
  if (word === 'today') return day * DAY_MS;
  if (word === 'yesterday') return (day - 1) * DAY_MS;
  // 1970 began on a Thursday.
  if (word === 'week') return (day - ((day + 3) % 7)) * DAY_MS;
  const [, hours, minutes] = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(word) ?? [];
  if (hours === undefined) return undefined;
  const ms = day * DAY_MS + (Number(hours) * 60 + Number(minutes)) * 60_000;
  return ms > nowMs ? ms - DAY_MS : ms;
};

/**
 * Milliseconds since 1970 of what a person writes: `now`, a duration before now (`24h`, cut to whole seconds), a word of
 * `parseDayWordMs`, a date, or an instant, UTC without a zone. Undefined for anything else.
 */
export const parseTimeMs = (text: string, nowMs: number): number | undefined => {
  const trimmed = text.trim();
  const agoMs = /^now$/i.test(trimmed) ? 0 : parseDurationMs(trimmed);
  if (agoMs !== undefined) return agoMs > nowMs ? undefined : Math.floor((nowMs - agoMs) / 1_000) * 1_000;
  const wordMs = parseDayWordMs(trimmed, nowMs);
  if (wordMs !== undefined) return wordMs;
  const [, date, minute, seconds = ':00', zone = 'Z'] = withoutSeconds.exec(trimmed) ?? [];
  return parseDateOrInstantMs(date === undefined ? trimmed : `${date}T${minute}${seconds}${zone}`);
};

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `30s`, `10m`, `24h`, `548d`, `500ms` in milliseconds; undefined for anything else. */
export const parseDurationMs = (text: string): number | undefined => {
  const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text.trim());
  if (match === null) return undefined;
  return Number(match[1]) * unitMs[match[2] as keyof typeof unitMs];
};

/** At most two units: `2d 3h`, `45s`. */
export const formatDuration = (durationMs: number): string => {
  if (durationMs < 1_000) return `${Math.round(durationMs)}ms`;
  const parts: string[] = [];
  let restMs = Math.floor(durationMs / 1_000) * 1_000;
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    const count = Math.floor(restMs / unitMs[unit]);
    restMs -= count * unitMs[unit];
    if (count > 0) parts.push(`${count}${unit}`);
    if (parts.length === 2) break;
  }
  return parts.join(' ');
};

const FIRST_MS = 5_000;
/** Longer than Cloudflare's block of five minutes, short enough to notice a restored access soon. */
const MAX_MS = 900_000;
/** Before the second request for a window: only its lane waits, and what fails twice is asked for otherwise. */
export const SECOND_ATTEMPT_MS = 2_000;
const FIRST_SINK_MS = 1_000;
/** A receiver is the user's own: an attempt a minute does not hurt. */
const MAX_SINK_MS = 60_000;

/** Rest of a lane after its `failures`-th failure in a row (1, 2, …). `random` in [0, 1) spreads lanes that failed together. */
export const laneBackoffMs = (failures: number, random: number): number =>
  backoffMs(FIRST_MS, MAX_MS, failures, random);

/** Between two attempts at a delivery. */
export const sinkBackoffMs = (failures: number, random: number): number =>
  backoffMs(FIRST_SINK_MS, MAX_SINK_MS, failures, random);

const backoffMs = (firstMs: number, longestMs: number, failures: number, random: number): number => {
  const fullMs = Math.min(longestMs, firstMs * 2 ** Math.min(20, Math.max(0, failures - 1)));
  return Math.round(fullMs * (1 - random / 4));
};

/** Never goes back. */
export interface Time {
  /** From any start. */
  nowMs(): number;
  /** Rejects with the signal's reason on abort. Does not keep the process alive. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Parts of the window: the total covers up to one part less. */
const PARTS = 60;

/** In constant memory. */
export class RecentCount {
  readonly #partMs: number;
  readonly #nowMs: () => number;
  readonly #counts = new Map<number, number>();

  /** `nowMs` never goes back. */
  constructor(windowMs: number, nowMs: () => number) {
    this.#partMs = windowMs / PARTS;
    this.#nowMs = nowMs;
  }

  add(): void {
    const part = this.#part();
    this.#counts.set(part, (this.#counts.get(part) ?? 0) + 1);
    if (this.#counts.size > PARTS) this.#forget(part);
  }

  total(): number {
    this.#forget(this.#part());
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }

  #part(): number {
    return Math.floor(this.#nowMs() / this.#partMs);
  }

  #forget(now: number): void {
    for (const part of this.#counts.keys()) if (part <= now - PARTS) this.#counts.delete(part);
  }
}
