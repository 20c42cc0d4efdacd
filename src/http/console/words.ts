import { collectionSpan } from '../../status/collection-words.ts';
import { type Html, html } from './html.ts';

/** A time as `2026-03-01 12:30:05`, in UTC. */
export const timeText = (at: Date | number): string => new Date(at).toISOString().slice(0, 19).replace('T', ' ');

/** A time that machines can read, too. */
export const timeOf = (at: Date | number): Html =>
  html`<time datetime="${new Date(at).toISOString()}">${timeText(at)}</time>`;

/** A span of time in two units at most. */
export const spanText = collectionSpan;

/** `12s ago`. */
export const agoText = (seconds: number): string => (seconds < 1 ? 'just now' : `${spanText(seconds)} ago`);

/** How long ago it was; with the exact time as its title. */
export const agoOf = (at: Date | null, nowMs: number): Html => {
  if (at === null) return html`<span class="muted">never</span>`;
  return html`<time datetime="${at.toISOString()}" title="${timeText(at)} UTC">${agoText((nowMs - at.getTime()) / 1_000)}</time>`;
};

/** With a comma at each thousand. */
export const countText = (count: number): string => Math.round(count).toLocaleString('en');

/** `1 gap`, `2 gaps`. */
export const countOf = (count: number, one: string, many = `${one}s`): string =>
  `${countText(count)} ${count === 1 ? one : many}`;
