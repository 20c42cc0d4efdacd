import { copiesChoices } from '../feed/copies.ts';
import type { OrganizationName } from '../organizations/organization-name.ts';
import { parseDurationMs } from '../time/duration.ts';
import { parseDateOrInstantMs } from '../time/instant.ts';
import { type Actor, printActor, readActor } from './conditions/actor.ts';
import { plainFields, takeLine } from './query-line.ts';
import { printTerm, printTerms, type Term, type TermField } from './terms/terms.ts';

/** An end of the time searched, as it was written: `24h` (that long ago), `now`, or an instant. */
export type TimeBound =
  | { readonly kind: 'ago'; readonly text: string; readonly ms: number }
  | { readonly kind: 'at'; readonly text: string; readonly ms: number };

/** What events are searched for. Everything that is given must hold. */
export interface Search {
  /** Inclusive. */
  readonly since?: TimeBound;
  /** Exclusive. */
  readonly before?: TimeBound;
  /** Its id; or its name, until it has been looked up. */
  readonly organization?: string;
  /** The same of an account. */
  readonly account?: string;
  /** Its id or its name. */
  readonly zone?: string;
  readonly actor?: Actor;
  readonly action?: string;
  readonly result?: string;
  readonly product?: string;
  readonly resourceType?: string;
  readonly resource?: string;
  readonly ray?: string;
  /** Somewhere in the entry's own text, whatever the case of its letters. */
  readonly text?: string;
  readonly defects: boolean;
  readonly changed: boolean;
  /** Months that are in the archive alone are searched as well. */
  readonly archive?: boolean;
  /** Of an entry about a user, which stands in the logs of several accounts, the first that matches. */
  readonly copies?: 'first';
  /** What a query line says that no other field can: exclusions, lists, other fields. */
  readonly terms?: readonly Term[];
}

/** The names of the parameters, in the order in which a link has them. A contract: people keep links, and new ones come last. */
export const searchFields = [
  'since',
  'before',
  'organization',
  'actor',
  'action',
  'result',
  'product',
  'resource_type',
  'resource',
  'ray',
  'text',
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
  /** Of an organization or account that is not known: those that may have been meant. */
  readonly suggestions?: readonly OrganizationName[];
}

export interface SearchReading {
  /** Without the fields that have a fault. */
  readonly search: Search;
  readonly faults: readonly SearchFault[];
  /** What was written in each field, for showing it again. */
  readonly given: Readonly<Partial<Record<SearchField, string>>>;
}

/** The same as the columns that have an index hold at most; longer than any value that a person types. */
const MAX_LENGTH = 2_000;
const MAX_DURATION_MS = 36_525 * 86_400_000;
const TIME_FORMS = 'use 24h, 7d, now, 2026-01-31 or 2026-01-31T08:00Z';
const TIME_FIELDS = ['since', 'before'] as const;

/** Reads a search from the parameters of a link. Never throws: what cannot be read is a fault of its field, and the rest counts. */
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
    const bound = readTimeBound(text, nowMs);
    if (bound === undefined)
      faults.push({ field, reason: `“${text.slice(0, 100).toWellFormed()}” is not a time: ${TIME_FORMS}` });
    else bounds[field] = bound;
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
  } else if (copies === 'first' && archive) {
    faults.push({
      field: 'copies',
      reason: 'cannot be first with archive: copies are looked for in the database alone',
    });
  }
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

const readTexts = (usable: (field: SearchField) => string | undefined): Partial<Search> => {
  const actor = usable('actor');
  const texts = {
    organization: usable('organization'),
    account: usable('account'),
    zone: usable('zone'),
    action: usable('action'),
    result: usable('result'),
    product: usable('product'),
    resourceType: usable('resource_type'),
    resource: usable('resource'),
    ray: usable('ray'),
    text: usable('text'),
  };
  const kept = Object.fromEntries(Object.entries(texts).filter(([, text]) => text !== undefined));
  return actor === undefined ? kept : { ...kept, actor: readActor(actor) };
};

const readValue = (value: unknown): { readonly text: string; readonly reason?: string } => {
  const values = Array.isArray(value) ? value.filter((one) => one !== '') : [value ?? ''];
  const text = String(values[0] ?? '').trim();
  if (values.length > 1) return { text, reason: 'is given more than once' };
  if (text.length > MAX_LENGTH) return { text: text.slice(0, MAX_LENGTH), reason: `is longer than ${MAX_LENGTH}` };
  if (text.includes('\0'))
    return { text: text.replaceAll('\0', '\ufffd'), reason: 'contains NUL, which no column has' };
  return { text: text.toWellFormed() };
};

/** `2026-01-31T08:00`, with a zone or without: RFC 3339 requires the seconds as well. */
const withoutSeconds = /^(\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2})([Zz]|[+-]\d{2}:\d{2})?$/;
/** As the date fields of browsers write it: UTC here. */
const withoutZone = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?$/;

const readTimeBound = (text: string, nowMs: number): TimeBound | undefined => {
  if (text === 'now') return { kind: 'ago', text, ms: 0 };
  const durationMs = parseDurationMs(text);
  if (durationMs !== undefined) {
    return durationMs > Math.min(nowMs, MAX_DURATION_MS) ? undefined : { kind: 'ago', text, ms: durationMs };
  }
  const timed = text.replace(withoutSeconds, (_, minutes: string, zone = '') => `${minutes}:00${zone}`);
  const zoned = withoutZone.test(timed) ? `${timed}Z` : timed;
  const ms = parseDateOrInstantMs(zoned);
  if (ms === undefined) return undefined;
  return { kind: 'at', text: zoned.length === 10 ? `${zoned}T00:00:00Z` : zoned, ms };
};

const boundMs = (bound: TimeBound, nowMs: number): number => (bound.kind === 'ago' ? nowMs - bound.ms : bound.ms);

/** The bound as an instant that PostgreSQL reads as it was meant, to its microsecond. */
export const instantOfBound = (bound: TimeBound, nowMs: number): string =>
  bound.kind === 'ago' ? new Date(nowMs - bound.ms).toISOString() : bound.text;

/** The search with what was relative made absolute. `now` as an end stays: it is none. */
export const fixTimes = (search: Search, nowMs: number): Search => {
  const fixed = (bound: TimeBound): TimeBound =>
    bound.ms === 0 ? bound : { kind: 'at', text: instantOfBound(bound, nowMs), ms: boundMs(bound, nowMs) };
  const { since, before } = search;
  return { ...search, ...(since && { since: fixed(since) }), ...(before && { before: fixed(before) }) };
};

/** The whole search as one query line, which reads as the same search. */
export const printLine = (search: Search): string => {
  const { terms = [], ...rest } = search;
  const words = [...printSearch({ ...rest })].map(([field, text]) =>
    field === 'text' || plainFields.some((one) => one === field)
      ? printTerm({ field: field as TermField, isNegated: false, values: [text] })
      : `${field}:${/[\s,"]/.test(text) ? JSON.stringify(text) : text}`,
  );
  return [...words, ...terms.map(printTerm)].join(' ');
};

/** The parameters of a search, in a fixed order: the same search has the same link. */
export const printSearch = (search: Search): URLSearchParams => {
  const { since, before, actor } = search;
  const values: Record<SearchField, string | undefined> = {
    since: since?.text,
    before: before?.text,
    organization: search.organization,
    account: search.account,
    zone: search.zone,
    actor: actor && printActor(actor),
    action: search.action,
    result: search.result,
    product: search.product,
    resource_type: search.resourceType,
    resource: search.resource,
    ray: search.ray,
    text: search.text,
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
