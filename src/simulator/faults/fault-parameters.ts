/** A value that is set beside a fault: which values are possible, and which one it is when the setting does not say. */
export interface Parameter<T> {
  readonly isGood: (value: unknown) => boolean;
  /** What the value must be, in words. */
  readonly what: string;
  readonly standard: T;
}

export type ParameterSet = Readonly<Record<string, Parameter<unknown>>>;

/** The values that belong to a set of parameters. */
export type ValuesOf<P> = { readonly [K in keyof P]: P[K] extends Parameter<infer T> ? T : never };

/** A time: RFC 3339, or milliseconds since the epoch. */
export type Moment = string | number;

/** Milliseconds since the epoch of a moment; NaN when it is none. */
export function momentMs(moment: Moment): number {
  return typeof moment === 'number' ? moment : Date.parse(moment);
}

const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
const isMoment = (value: unknown): boolean =>
  (typeof value === 'string' || isNumber(value)) && !Number.isNaN(momentMs(value));
const isText = (value: unknown): boolean => typeof value === 'string' && value !== '';
const isStatus = (value: unknown): boolean => isWhole(value, 400, 599);

function isWhole(value: unknown, least: number, most: number): boolean {
  return isNumber(value) && Number.isInteger(value) && value >= least && value <= most;
}

/** A number of 0 or more. */
export function amount(standard: number): Parameter<number> {
  return { isGood: (value) => isNumber(value) && value >= 0, what: 'a number of 0 or more', standard };
}

/** A number, a negative one, too. */
export function difference(standard: number): Parameter<number> {
  return { isGood: isNumber, what: 'a number', standard };
}

/** An integer within these bounds. */
export function whole(standard: number, least: number, most: number): Parameter<number> {
  return { isGood: (value) => isWhole(value, least, most), what: `an integer between ${least} and ${most}`, standard };
}

/** The status of an HTTP error. */
export function status(standard: number): Parameter<number> {
  return { isGood: isStatus, what: 'a status from 400 to 599', standard };
}

/** The status of an HTTP error, or `hang`: no answer at all. */
export function statusOrHang(standard: number): Parameter<number | 'hang'> {
  return {
    isGood: (value) => value === 'hang' || isStatus(value),
    what: 'a status from 400 to 599 or "hang"',
    standard,
  };
}

/** One of these words. */
export function choice<const W extends string>(words: readonly W[], standard: W): Parameter<W> {
  const isGood = (value: unknown): boolean => (words as readonly unknown[]).includes(value);
  return { isGood, what: `one of ${words.join(', ')}`, standard };
}

export function flag(standard: boolean): Parameter<boolean> {
  return { isGood: (value) => typeof value === 'boolean', what: 'true or false', standard };
}

/** A value of this kind, or none. */
export function optional<T>({ isGood, what }: Parameter<T>): Parameter<T | undefined> {
  return { isGood, what, standard: undefined };
}

/** A time, or none. */
export function moment(): Parameter<Moment | undefined> {
  return { isGood: isMoment, what: 'a timestamp or milliseconds since the epoch', standard: undefined };
}

/** Times, or none. */
export function moments(): Parameter<readonly Moment[] | undefined> {
  return {
    isGood: (value) => Array.isArray(value) && value.every(isMoment),
    what: 'a list of timestamps or milliseconds since the epoch',
    standard: undefined,
  };
}

/** A text without spaces, or none. */
export function word(): Parameter<string | undefined> {
  const isGood = (value: unknown): boolean => typeof value === 'string' && /^\S+$/.test(value);
  return { isGood, what: 'a string without spaces', standard: undefined };
}

/** Texts that are not empty, or none. */
export function texts(): Parameter<readonly string[] | undefined> {
  return {
    isGood: (value) => Array.isArray(value) && value.every(isText),
    what: 'a list of strings',
    standard: undefined,
  };
}
