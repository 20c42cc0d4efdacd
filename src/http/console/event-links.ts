import { formatDuration, parseInstantMs } from '../../base/time.ts';
import type { FoundEvent } from '../../search/answer.ts';
import type { EntityKind } from '../../search/entities.ts';
import { boundAt, printSearch, type Search } from '../../search/query/search.ts';
import type { Term, TermField } from '../../search/query/terms.ts';
import { type Html, html } from './html.ts';
import { pageZone, partsOfInstant, shortened, UTC } from './words.ts';

const MAX_SHOWN = 120;

/** A value that searches for itself within the search. Never a link to what the value says. */
export const filterLink = (search: Search, filter: Partial<Search>, text: string): Html =>
  text === ''
    ? html`<span class="muted">(empty)</span>`
    : html`<a class="narrow" href="/events?${printSearch({ ...search, ...filter }).toString()}" title="Filter by this value">${shortened(text, MAX_SHOWN)}</a>`;

export const actorOf = (
  event: FoundEvent,
): { readonly text: string; readonly more?: string; readonly filter: NonNullable<Search['actor']> } | undefined => {
  const { actorEmail, actorTokenId, actorTokenName, actorId, actorIpAddress, actorContext } = event;
  const more = [actorTokenName ?? actorContext, actorIpAddress].filter((part) => part !== null).join(' · ');
  const rest = more === '' ? {} : { more };
  if (actorEmail !== null) return { text: actorEmail, ...rest, filter: { kind: 'email', value: actorEmail } };
  if (actorId !== null) return { text: actorId, ...rest, filter: { kind: 'id', value: actorId } };
  if (actorTokenId !== null) return { text: actorTokenId, ...rest, filter: { kind: 'token', value: actorTokenId } };
  if (actorIpAddress !== null) return { text: actorIpAddress, filter: { kind: 'ip', value: actorIpAddress } };
  return undefined;
};

export const resourceOf = (
  event: FoundEvent,
): { readonly text: string; readonly filter: Partial<Search> } | undefined => {
  const { resourceProduct, resourceType } = event;
  if (resourceProduct === null && resourceType === null) return undefined;
  return {
    text: [resourceProduct, resourceType].filter((part) => part !== null).join(' / '),
    filter: {
      ...(resourceProduct !== null && { product: resourceProduct }),
      ...(resourceType !== null && { resourceType }),
    },
  };
};

export const timeOf = ({ actionTime, sortTime }: FoundEvent, nowMs: number): Html => {
  if (actionTime === null) return html`${sortTime === '-infinity' ? 'no time' : sortTime}`;
  const timeMs = parseInstantMs(actionTime) ?? nowMs;
  const ago = timeMs > nowMs ? `in ${formatDuration(timeMs - nowMs)}` : `${formatDuration(nowMs - timeMs)} ago`;
  const { date, clock, fraction } = partsOfInstant(actionTime);
  const title = pageZone() === UTC ? ago : `${ago}, ${actionTime}`;
  return html`<time datetime="${actionTime}" title="${title}">${date} <span class="clock">${clock}<span class="fraction">${fraction.slice(0, 4)}</span></span></time>`;
};

/** What went wrong should be seen; unknown words have the colour of neither. */
export const resultMark = ({ actionResult, statusCode }: FoundEvent): Html => {
  const word = actionResult?.toLowerCase();
  const text = html`${shortened(actionResult ?? 'unknown', MAX_SHOWN)}${statusCode === null ? null : html` ${statusCode}`}`;
  // What is usual has no colour: the eye goes to the rest.
  if (word === 'success') return html`<span class="muted">${text}</span>`;
  const kind = word === 'failure' || word === 'failed' ? 'failing' : 'unknown';
  return html`<span class="state state-${kind}">${text}</span>`;
};

/** Undefined if it is what the action says. */
export const effectOf = ({ effects, actionType }: FoundEvent): string | undefined => {
  const [effect, ...all] = effects ?? [];
  if (effect === undefined || effect === actionType?.toLowerCase()) return undefined;
  return all.length === 0 ? effect : `${effect} (${all.join(', ')})`;
};

export const effectMark = (event: FoundEvent): Html | null => {
  const effect = effectOf(event);
  return effect === undefined
    ? null
    : html` <span class="mark mark-changed" title="Derived from the lists of the batch">effect: ${effect}</span>`;
};

export const linkOf = (search: Search): string => {
  const text = printSearch(search).toString();
  return text === '' ? '/events' : `/events?${text}`;
};

export const entityHref = (kind: EntityKind, value: string): string => `/${kind}/${encodeURIComponent(value)}`;

/** The page moves what a field can say into the field. */
export const withTerm = (search: Search, field: TermField, value: string, isNegated: boolean): Search => {
  const term: Term = { field, isNegated, values: [value] };
  return { ...search, terms: [...(search.terms ?? []), term] };
};

export const withinTime = (search: Search, sinceMs: number, beforeMs: number): Search => ({
  ...search,
  since: boundAt(sinceMs),
  before: boundAt(beforeMs),
});
