import { BusyError, SearchError } from '../../../base/errors.ts';
import type { FoundEvent } from '../../../search/answer.ts';
import {
  faultsInWords,
  printCursor,
  printSearch,
  readSearch,
  type Search,
  type SearchCursor,
  searchFields,
} from '../../../search/query/search.ts';
import { resolveNames } from '../../../search/run-search.ts';
import type { SearchSource } from '../../../search/search-source.ts';
import { unknownIn } from '../../failure.ts';
import { linkOf } from '../event-links.ts';
import { type Html, html } from '../html.ts';

/** Node.js refuses addresses of some 16,000 bytes, others earlier. */
const LONGEST_CARRIED = 4_000;

/** With the search it is opened from, if that is not for everything. */
export const eventHref = (
  position: number,
  search: Search | undefined,
  more: Readonly<Record<string, string>> = {},
) => {
  const text = search === undefined ? '' : printSearch(search).toString();
  const carried = text !== '' && encodeURIComponent(text).length <= LONGEST_CARRIED;
  const parameters = new URLSearchParams({ ...(carried && { search: text }), ...more }).toString();
  return parameters === '' ? `/events/${position}` : `/events/${position}?${parameters}`;
};

/** An event, where a slow search goes on, or nothing. */
type Step = { readonly position: number } | { readonly reached: SearchCursor } | null;

export type SearchSteps =
  | {
      readonly kind: 'steps';
      readonly search: Search;
      readonly newer: Step;
      readonly older: Step;
      /** Undefined: could not be looked up in time. */
      readonly isFound: boolean | undefined;
    }
  | { readonly kind: 'fault'; readonly search: Search | undefined; readonly reason: string };

/** Undefined without a search; one that cannot be read or answered is a fault, never an error. */
export const readSteps = async (
  source: SearchSource,
  event: FoundEvent,
  carried: unknown,
  signal: AbortSignal,
): Promise<SearchSteps | undefined> => {
  if (carried === undefined || carried === '') return undefined;
  const fault = (reason: string, search?: Search): SearchSteps => ({ kind: 'fault', search, reason });
  if (typeof carried !== 'string') return fault('it is given more than once');
  const query = queryOf(carried);
  const unknown = unknownIn(query, searchFields);
  if (unknown.length > 0) return fault(unknown.join('; '));
  const reading = readSearch(query, Date.now());
  try {
    const { search, faults } = await resolveNames(source, reading);
    if (faults.length > 0) return fault(faultsInWords(faults));
    const { sortTime: time, position } = event;
    const ask = (cursor: SearchCursor, limit: number) =>
      source.search(search, { cursor, limit, signal, isQuick: true });
    // From the event itself on, so that it is known whether the search finds it.
    const [newer, fromHere] = await Promise.all([
      ask({ direction: 'newer', time, position }, 1),
      ask({ direction: 'older', time, position: position + 1 }, 2),
    ]);
    const isFound = fromHere.events[0]?.position === position;
    return {
      kind: 'steps',
      search: reading.search,
      newer: stepTo(newer.events[0], newer.reached),
      older: stepTo(fromHere.events[isFound ? 1 : 0], fromHere.reached),
      isFound: isFound || fromHere.events.length > 0 || fromHere.reached === undefined ? isFound : undefined,
    };
  } catch (error) {
    if (error instanceof SearchError) return fault(error.message, reading.search);
    if (error instanceof BusyError) return fault('other searches are using the database', reading.search);
    throw error;
  }
};

const stepTo = (event: FoundEvent | undefined, reached: SearchCursor | undefined): Step =>
  event ?? (reached === undefined ? null : { reached });

/** A repeated name has all its values, as in the query of a request. */
const queryOf = (text: string): Readonly<Record<string, readonly string[]>> => {
  const parameters = new URLSearchParams(text);
  return Object.fromEntries([...new Set(parameters.keys())].map((name) => [name, parameters.getAll(name)]));
};

export const searchStepsOf = (steps: SearchSteps | undefined): Html | undefined => {
  if (steps?.kind !== 'steps') return undefined;
  const { newer, older, isFound } = steps;
  const note = isFound === false ? html`<span class="muted">Not in the result of this search</span>` : null;
  return html`<nav class="row" aria-label="Neighbours in this search">${note}${stepOf(steps, newer, 'newer')}${stepOf(steps, older, 'older')}</nav>`;
};

const names = {
  newer: { word: 'Newer', end: 'Newest', rel: 'prev', before: '← ', after: '' },
  older: { word: 'Older', end: 'Oldest', rel: 'next', before: '', after: ' →' },
} as const;

const stepOf = (
  { search, isFound }: { readonly search: Search; readonly isFound: boolean | undefined },
  step: Step,
  direction: SearchCursor['direction'],
): Html => {
  const { word, end, rel, before, after } = names[direction];
  if (step === null)
    return html`<span class="muted">${isFound === true ? end : `Nothing ${word.toLowerCase()}`} in this search</span>`;
  const link = (href: string, text: string) =>
    html`<a class="quiet-button" rel="${rel}" href="${href}">${before}${text}${after}</a>`;
  if ('position' in step) return link(eventHref(step.position, search), `${word} in this search`);
  const parameters = printSearch(search);
  parameters.set('cursor', printCursor(step.reached));
  return link(`/events?${parameters}`, `${word}: keep searching`);
};

export const stepsFault = (steps: SearchSteps | undefined): Html | null =>
  steps?.kind === 'fault'
    ? html`<p class="muted steps-fault" role="status">The search of this link is left out: ${steps.reason}.</p>`
    : null;

export const resultLink = (steps: SearchSteps | undefined): Html =>
  steps?.search === undefined
    ? html`<a href="/events">Events</a>`
    : html`<a href="${linkOf(steps.search)}">Events of this search</a>`;
