import { parseDateOrInstantMs, parseDayWordMs, parseDurationMs, timeForms } from '../../base/time.ts';
import { copiesChoices } from '../../feed/feed.ts';
import type { OrganizationName } from '../names/names.ts';
import {
  type Actor,
  printActor,
  printTerm,
  printTerms,
  readActor,
  readTerms,
  type Term,
  type TermField,
  type TermsReading,
} from './terms.ts';

export type TimeBound =
  | { readonly kind: 'ago'; readonly text: string; readonly ms: number }
  /** `word`: what it was called, such as `yesterday`. A link keeps it, and moves with the day. */
  | { readonly kind: 'at'; readonly text: string; readonly ms: number; readonly word?: string };

export interface Search {
  /** Inclusive. */
  readonly since?: TimeBound;
  /** Exclusive. */
  readonly before?: TimeBound;
  /** Its id, or its name until that has been looked up. */
  readonly organization?: string;
  readonly account?: string;
  readonly zone?: string;
  readonly actor?: Actor;
  readonly action?: string;
  readonly result?: string;
  readonly product?: string;
  readonly resourceType?: string;
  readonly resource?: string;
  readonly ray?: string;
  /** In the entry's own text, whatever the case of its letters. */
  readonly text?: string;
  readonly defects: boolean;
  readonly changed: boolean;
  /** Also in months that are in the archive alone. */
  readonly archive?: boolean;
  /** Of an entry about a user, which stands in the logs of several accounts, the first that matches. */
  readonly copies?: 'first';
  /** What only a query line can say: exclusions, lists, other fields. */
  readonly terms?: readonly Term[];
}

const ofEvents = ['actor', 'action', 'result', 'product', 'resource_type', 'resource', 'ray', 'text'] as const;

/** The names of the parameters, in the order in which a link has them. A contract: people keep links, and new ones come last. */
export const searchFields = [
  'since',
  'before',
  'organization',
  ...ofEvents,
  'defects',
  'changed',
  'account',
  'zone',
  'q',
  'archive',
  'copies',
] as const;
export type SearchField = (typeof searchFields)[number];

export interface SearchFault {
  readonly field: SearchField;
  /** A predicate to the name of the field. */
  readonly reason: string;
  /** Organizations or accounts that may have been meant. */
  readonly suggestions?: readonly OrganizationName[];
}

export const faultsInWords = (faults: readonly SearchFault[]): string =>
  faults.map(({ field, reason }) => `${field} ${reason}`).join('; ');

export interface SearchReading {
  /** Without the fields that have a fault. */
  readonly search: Search;
  readonly faults: readonly SearchFault[];
  /** As it was written, to be shown again. */
  readonly given: Readonly<Partial<Record<SearchField, string>>>;
}

/** As much as indexed columns hold; longer than any value that a person types. */
const MAX_LENGTH = 2_000;
const MAX_DURATION_MS = 36_525 * 86_400_000;
const TIME_FORMS = `use ${timeForms}, or around-14:30`;
/** Each way. */
const AROUND_MS = 15 * 60_000;
const LAST_MS = Date.UTC(9999, 11, 31);
const TIME_FIELDS = ['since', 'before'] as const;

/** Reads the parameters of a link. Never throws: what cannot be read is a fault of its field, and the rest counts. */
export const readSearch = (query: Readonly<Record<string, unknown>>, nowMs: number): SearchReading => {
  const faults: SearchFault[] = [];
  const given: Partial<Record<SearchField, string>> = {};
  for (const field of searchFields) {
    const value = readValue(query[field]);
    if ('reason' in value) faults.push({ field, reason: value.reason });
    if (value.text !== '') given[field] = value.text;
  }
  const { terms, faults: ofLine } = faults.some(({ field }) => field === 'q') ? noLine : takeLine(given);
  faults.push(...ofLine.map((reason) => ({ field: 'q' as const, reason })));
  const usable = (field: SearchField) => (faults.some((fault) => fault.field === field) ? undefined : given[field]);
  const bounds: { since?: TimeBound; before?: TimeBound } = {};
  for (const field of TIME_FIELDS) {
    const text = usable(field);
    if (text === undefined) continue;
    const middle = field === 'since' ? /^around[- ](.+)$/i.exec(text)?.[1] : undefined;
    const bound = readTimeBound(middle ?? text, nowMs);
    if (bound === undefined)
      faults.push({ field, reason: `“${text.slice(0, 100).toWellFormed()}” is not a time: ${TIME_FORMS}` });
    else if (middle === undefined) bounds[field] = bound;
    else {
      const ms = Math.min(Math.max(boundMs(bound, nowMs), AROUND_MS), LAST_MS - AROUND_MS);
      Object.assign(bounds, { since: boundAt(ms - AROUND_MS), before: boundAt(ms + AROUND_MS) });
    }
  }
  const { since, before } = bounds;
  if (since !== undefined && before !== undefined && boundMs(since, nowMs) >= boundMs(before, nowMs)) {
    faults.push({ field: 'before', reason: 'must be later than since' });
  }
  const flag = (field: 'defects' | 'changed' | 'archive'): boolean => {
    const text = usable(field);
    if (text === undefined || isNo(text)) return false;
    if (!isYes(text)) faults.push({ field, reason: 'must be true or false' });
    return isYes(text);
  };
  const archive = flag('archive');
  const copies = usable('copies');
  if (copies !== undefined && !copiesChoices.some((choice) => choice === copies)) {
    faults.push({ field: 'copies', reason: `must be ${copiesChoices.join(' or ')}` });
  } else if (copies === 'first' && archive)
    faults.push({
      field: 'copies',
      reason: 'cannot be first with archive: copies are looked for in the database alone',
    });
  const derived = archive && terms.find(({ field }) => ['detection', 'country', 'network'].includes(field));
  if (derived)
    faults.push({ field: 'q', reason: `cannot have ${derived.field}: with archive: it is dropped with its months` });
  const search: Search = {
    ...bounds,
    ...readTexts(usable),
    defects: flag('defects'),
    changed: flag('changed'),
    ...(archive && { archive: true }),
    ...(usable('copies') === 'first' && { copies: 'first' as const }),
    ...(terms.length > 0 && { terms }),
  };
  return { search, faults, given };
};

const noLine = { terms: [], faults: [] } as const;
const isYes = (text: string): boolean => ['true', '1', 'on', 'yes'].includes(text.toLowerCase());
const isNo = (text: string): boolean => ['false', '0', 'off', 'no'].includes(text.toLowerCase());

const readTexts = (usable: (field: SearchField) => string | undefined): Partial<Search> =>
  Object.fromEntries(
    plainFields.flatMap((field) => {
      const text = usable(field);
      if (text === undefined) return [];
      return [[propertyOf(field), field === 'actor' ? readActor(text) : text]];
    }),
  );

const propertyOf = (field: PlainField) => (field === 'resource_type' ? 'resourceType' : field);

const readValue = (value: unknown): { readonly text: string; readonly reason?: string } => {
  const values = Array.isArray(value) ? value.filter((one) => one !== '') : [value ?? ''];
  const text = String(values[0] ?? '').trim();
  if (values.length > 1) return { text, reason: 'is given more than once' };
  if (text.length > MAX_LENGTH) return { text: text.slice(0, MAX_LENGTH), reason: `is longer than ${MAX_LENGTH}` };
  if (text.includes('\0'))
    return { text: text.replaceAll('\0', '\ufffd'), reason: 'contains NUL, which no column has' };
  return { text: text.toWellFormed() };
};

/** `2026-01-31T08:00`: RFC 3339 requires seconds. */
const withoutSeconds = /^(\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2})([Zz]|[+-]\d{2}:\d{2})?$/;
/** As the date fields of browsers write it: UTC here. */
const withoutZone = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?$/;

const readTimeBound = (text: string, nowMs: number): TimeBound | undefined => {
  if (text === 'now') return { kind: 'ago', text, ms: 0 };
  const durationMs = parseDurationMs(text);
  if (durationMs !== undefined) {
    return durationMs > Math.min(nowMs, MAX_DURATION_MS) ? undefined : { kind: 'ago', text, ms: durationMs };
  }
  const wordMs = parseDayWordMs(text, nowMs);
  // A time of day is that of a certain day; the others move with the day.
  if (wordMs !== undefined)
    return text.includes(':') ? boundAt(wordMs) : { ...boundAt(wordMs), word: text.toLowerCase() };
  const timed = text.replace(withoutSeconds, (_, minutes: string, zone = '') => `${minutes}:00${zone}`);
  const zoned = withoutZone.test(timed) ? `${timed}Z` : timed;
  const ms = parseDateOrInstantMs(zoned);
  if (ms === undefined) return undefined;
  return { kind: 'at', text: zoned.length === 10 ? `${zoned}T00:00:00Z` : zoned, ms };
};

export const boundAt = (ms: number): TimeBound & { readonly kind: 'at' } => ({
  kind: 'at',
  text: new Date(ms).toISOString().replace('.000Z', 'Z'),
  ms,
});

const boundMs = (bound: TimeBound, nowMs: number): number => (bound.kind === 'ago' ? nowMs - bound.ms : bound.ms);

export const textOfBound = (bound: TimeBound): string => (bound.kind === 'at' ? bound.word : undefined) ?? bound.text;

/** As PostgreSQL reads it, to the microsecond. */
export const instantOfBound = (bound: TimeBound, nowMs: number): string =>
  bound.kind === 'ago' ? new Date(nowMs - bound.ms).toISOString() : bound.text;

/** Relative times become absolute. `now` as an end stays: it is none. */
export const fixTimes = (search: Search, nowMs: number): Search => {
  const fixed = (bound: TimeBound): TimeBound =>
    bound.ms === 0 ? bound : { kind: 'at', text: instantOfBound(bound, nowMs), ms: boundMs(bound, nowMs) };
  const { since, before } = search;
  return { ...search, ...(since && { since: fixed(since) }), ...(before && { before: fixed(before) }) };
};

export const printLine = (search: Search): string => {
  const { terms = [], ...rest } = search;
  return [...[...printSearch({ ...rest })].map(printWord), ...terms.map(printTerm)].join(' ');
};

/** A parameter as the query line says it. */
export const printWord = ([field, text]: readonly [field: string, text: string]): string =>
  field === 'text' || plainFields.some((one) => one === field)
    ? printTerm({ field: field as TermField, isNegated: false, values: [text] })
    : `${field}:${/[\s,"]/.test(text) ? JSON.stringify(text) : text}`;

/** In a fixed order: the same search has the same link. */
export const printSearch = (search: Search): URLSearchParams => {
  const values: Partial<Record<SearchField, string | undefined>> = {
    ...Object.fromEntries(plainFields.map((field) => [field, search[propertyOf(field)]])),
    since: search.since && textOfBound(search.since),
    before: search.before && textOfBound(search.before),
    actor: search.actor && printActor(search.actor),
    defects: search.defects ? 'true' : undefined,
    changed: search.changed ? 'true' : undefined,
    q: search.terms && printTerms(search.terms),
    archive: search.archive ? 'true' : undefined,
    copies: search.copies,
  };
  const parameters = new URLSearchParams();
  for (const field of searchFields) {
    const value = values[field];
    if (value !== undefined) parameters.set(field, value);
  }
  return parameters;
};

/** They say the same as a term with one value. */
const plainFields = ['organization', 'account', 'zone', ...ofEvents] as const satisfies readonly TermField[];
type PlainField = (typeof plainFields)[number];

type Given = Partial<Record<SearchField, string>>;

export const actorTerms: Readonly<Partial<Record<TermField, Actor['kind']>>> = {
  email: 'email',
  ip: 'ip',
  token: 'token',
  actor_id: 'id',
};

/** Moves what the query line says into fields that say the same: a search has one link. Faults are predicates to the line. */
const takeLine = (given: Given): Pick<TermsReading, 'terms' | 'faults'> => {
  if (given.q === undefined) return { terms: [], faults: [] };
  const reading = readTerms(given.q);
  if (reading.faults.length > 0) return { terms: [], faults: reading.faults };
  const faults: string[] = [];
  const settings = Object.entries(reading.settings) as [keyof typeof reading.settings, string][];
  for (const [field, text] of settings) {
    if (given[field] === undefined || given[field] === text) given[field] = text;
    else faults.push(`has ${field}:${text}, but ${field} is ${given[field]} as well`);
  }
  const isSoleText = reading.terms.filter(({ field }) => field === 'text').length === 1;
  const rest = reading.terms.filter((term) => {
    const [field, text] = plainOf(term) ?? [];
    if (field === undefined || text === undefined || given[field] !== undefined || (field === 'text' && !isSoleText))
      return true;
    given[field] = text;
    return false;
  });
  if (rest.length > 0) given.q = printTerms(rest);
  else delete given.q;
  return { terms: rest, faults };
};

const plainOf = ({ field, isNegated, values }: Term): [PlainField, string] | undefined => {
  const [text = ''] = values;
  // Blanks at the ends of a parameter are lost when its link is read.
  if (isNegated || values.length !== 1 || text !== text.trim()) return undefined;
  const kind = actorTerms[field];
  if (kind !== undefined) return ['actor', `${kind}:${text}`];
  const plain = plainFields.find((one) => one === field);
  if (plain === undefined) return undefined;
  // A star stands for any text in the parameter `actor` alone; in others it is meant as it is.
  return plain !== 'actor' && plain !== 'text' && /^\*|\*$/.test(text) ? undefined : [plain, text];
};

/** Where a page begins: beside this event, in the order (time, position). */
export interface SearchCursor {
  /** `older`: what comes after it on pages, which are newest first. */
  readonly direction: 'older' | 'newer';
  /** As PostgreSQL writes it in UTC, to the microsecond; `-infinity` for entries without a time. */
  readonly time: string;
  /** 0: only the time counts. */
  readonly position: number;
}

const instant =
  /^(?:\d{4,5}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]) (?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?\+00(?: BC)?|-infinity)$/;
export const MAX_CURSOR_LENGTH = 100;

/** Opaque to clients: base64url. */
export const printCursor = ({ direction, time, position }: SearchCursor): string => {
  const text = `${direction === 'older' ? '<' : '>'}${position} ${time}`;
  return Buffer.from(text, 'latin1').toString('base64url');
};

/** Undefined for anything that `printCursor` has not written. */
export const readCursor = (text: string): SearchCursor | undefined => {
  if (text.length > MAX_CURSOR_LENGTH || !/^[A-Za-z0-9_-]+$/.test(text)) return undefined;
  const match = /^([<>])(0|[1-9]\d{0,15}) (.+)$/.exec(Buffer.from(text, 'base64url').toString('latin1'));
  const [, sign, digits, time = ''] = match ?? [];
  const position = Number(digits);
  if (match === null || !Number.isSafeInteger(position) || !instant.test(time)) return undefined;
  const cursor: SearchCursor = { direction: sign === '<' ? 'older' : 'newer', time, position };
  return printCursor(cursor) === text ? cursor : undefined;
};
