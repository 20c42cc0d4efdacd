import { InvalidArgumentError } from 'commander';
import { OrgtrailError } from '../../base/errors.ts';
import { parseDateOrInstantMs } from '../../base/time.ts';
import {
  readCursor,
  type SearchCursor,
  type SearchField,
  type SearchReading,
  searchFields,
} from '../../search/query/search.ts';
import { type FacetField, facetFields } from '../../search/summary/summary.ts';
import type { Given } from '../command.ts';
import { keyOf, optionOf, readTime } from '../options.ts';

export type SearchOptions = Readonly<Record<string, string | boolean | number | undefined | readonly string[]>> & {
  readonly facet?: readonly FacetField[];
} & Readonly<Partial<Record<'limit' | 'historyOf' | 'after', number>>> &
  Given<
    'cursor' | 'bundle' | 'url' | 'tokenFile' | 'saved' | 'save' | 'deleteSaved' | 'tell' | 'every',
    'json' | 'ndjson' | 'csv' | 'follow' | 'count' | 'listSaved'
  >;

export const readPosition = (text: string): number => {
  const position = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : 0;
  if (Number.isSafeInteger(position) && position > 0) return position;
  throw new InvalidArgumentError('It must be the position of an event, such as 48213: the last column of a search.');
};

export const readAfter = (text: string): number => (text === '0' ? 0 : readPosition(text));

export const readFacet = (text: string, others: readonly FacetField[]): readonly FacetField[] => {
  const field = facetFields.find((one) => one === text);
  if (field === undefined) throw new InvalidArgumentError(`It must be one of ${facetFields.join(', ')}.`);
  return [...others, field];
};

/** In addition to `--q`. */
export const withLine = (options: SearchOptions, query: readonly string[]): SearchOptions => {
  const line = [...(options['q'] === undefined ? [] : [String(options['q'])]), ...query].join(' ');
  return line === '' ? options : { ...options, q: line };
};

export const givenFields = (options: SearchOptions): Partial<Record<SearchField, string>> => {
  const query: Partial<Record<SearchField, string>> = {};
  for (const field of searchFields) {
    const value = options[keyOf(field)];
    if (value !== undefined) query[field] = String(value);
  }
  return query;
};

/** With absolute times. Throws OrgtrailError `usage`. */
export const queryOf = (options: SearchOptions, nowMs: number): Partial<Record<SearchField, string>> => {
  const query = givenFields(options);
  for (const field of ['since', 'before'] as const) {
    const text = query[field];
    // What is collected a moment later is no gap of a search up to now.
    if (field === 'before' && text === 'now') delete query[field];
    if (query[field] === undefined) continue;
    // Times that the search reads by itself keep their microseconds.
    if (text === undefined || parseDateOrInstantMs(text) !== undefined) continue;
    query[field] = new Date(readTime(optionOf(field), text, nowMs)).toISOString();
  }
  return query;
};

/** Throws OrgtrailError `usage` if it has faults. */
export const requireValid = (reading: SearchReading): SearchReading => {
  const { faults } = reading;
  if (faults.length === 0) return reading;
  throw new OrgtrailError('usage', faults.map(({ field, reason }) => `${optionOf(field)} ${reason}`).join('; '));
};

/** Throws OrgtrailError `usage`. */
export const requireCursor = (text: string | undefined): SearchCursor | undefined => {
  if (text === undefined) return undefined;
  const cursor = readCursor(text);
  if (cursor === undefined) throw new OrgtrailError('usage', '--cursor is not a cursor of a search');
  return cursor;
};

export const isSummary = ({ count, facet = [] }: SearchOptions): boolean => count === true || facet.length > 0;

const fields = searchFields.map(keyOf).join(' ');
const ofEvents = 'limit cursor ndjson csv follow after count facet historyOf bundle';
const summary = '--count and --facet look at all events of the database: they';

/** What cannot be used with an option, and why. */
const conflicts: readonly (readonly [option: string, why: string, others: string])[] = [
  ['save', '--save keeps a search: it', `saved listSaved deleteSaved json url tokenFile ${ofEvents}`],
  ['listSaved', '--list-saved', `saved deleteSaved ${fields} ${ofEvents}`],
  ['deleteSaved', '--delete-saved', `saved json url tokenFile ${fields} ${ofEvents}`],
  ['saved', '--saved searches: it', 'historyOf'],
  ['tell', '--tell is about a saved search: it', `listSaved deleteSaved json url tokenFile ${ofEvents}`],
  [
    'historyOf',
    '--history-of has all events of one resource: it',
    `${fields} cursor ndjson csv follow after bundle count facet`,
  ],
  ['bundle', '--bundle reads the database: it', 'url'],
  ['follow', '--follow prints lines as they come: it', 'cursor limit json csv count facet bundle archive'],
  ['count', summary, 'cursor limit ndjson csv bundle archive'],
  ['facet', summary, 'cursor limit ndjson csv bundle archive'],
  ['bundle', '--bundle has all events of the database: it', 'cursor limit ndjson csv archive'],
  ['csv', '--csv prints all events: it', 'cursor limit json ndjson'],
  ['ndjson', '--ndjson prints all events: it', 'cursor limit json'],
];

/** An option that did nothing would make the answer look like another one. Throws OrgtrailError `usage`. */
export const refuseConflicts = (options: SearchOptions): void => {
  const isGiven = (key: string): boolean => {
    const value = options[key];
    return value !== undefined && !(Array.isArray(value) && value.length === 0);
  };
  for (const [option, why, others] of conflicts) {
    const given = isGiven(option) ? others.split(' ').filter(isGiven) : [];
    if (given.length > 0)
      throw new OrgtrailError('usage', `${why} cannot be used with ${given.map(switchOf).join(', ')}`);
  }
  if (options.tell !== undefined && options.save === undefined && options.saved === undefined)
    throw new OrgtrailError('usage', '--tell needs --save or --saved: only a saved search tells');
  if (options.tell !== undefined && options.saved !== undefined && fields.split(' ').some(isGiven))
    throw new OrgtrailError('usage', '--tell with --saved tells what that search finds: it cannot be narrowed here');
  if (options.every !== undefined && options.tell === undefined)
    throw new OrgtrailError('usage', '--every says how often --tell tells at most: it cannot be used without it');
  if (options.after !== undefined && options.follow !== true)
    throw new OrgtrailError('usage', '--after says where --follow begins: it cannot be used without it');
};

const switchOf = (key: string): string => `--${key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
