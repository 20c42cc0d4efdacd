import { AsyncLocalStorage } from 'node:async_hooks';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { parseInstantMs } from '../../base/time.ts';
import { collectionSpan } from '../../status/health.ts';
import { type Html, html } from './html.ts';

/** Written as UTC would be: `2026-03-01T12:30:05.000Z`. */
const clockOf = (at: Date | number): string => {
  const ms = Number(at);
  return new Date(ms + offsetMs(pageZone(), ms)).toISOString();
};

export const timeText = (at: Date | number): string => clockOf(at).slice(0, 19).replace('T', ' ');

export const zonedText = (at: Date | number): string => `${timeText(at)} ${pageZone()}`;

export const zoneLabel = (): string => (pageZone() === UTC ? UTC : 'local time');

export const timeOf = (at: Date | number): Html =>
  html`<time datetime="${new Date(at).toISOString()}"${utcTitle(new Date(at).toISOString())}>${timeText(at)}</time>`;

/** Local times come twice when clocks are set back. */
const utcTitle = (utc: string): Html | null => (pageZone() === UTC ? null : html` title="${utc}"`);

/** To the second; what is no instant (`-infinity`) stays as it is. */
export const instantOf = (text: string): Html => {
  const ms = msOf(text);
  return ms === undefined ? html`${text.slice(0, 19).replace('T', ' ')}` : timeOf(ms);
};

/** With all digits: in UTC as it is written, else with the distance of the zone. */
export const exactInstantOf = (text: string): Html => {
  const ms = msOf(text);
  if (ms === undefined || pageZone() === UTC) return html`<span class="time">${text}</span>`;
  const fraction = fractionOf(text);
  return html`<time datetime="${text}" title="${text}">${clockOf(ms).slice(0, 19)}${fraction}${offsetText(pageZone(), ms)}</time>`;
};

export const partsOfInstant = (
  text: string,
): { readonly date: string; readonly clock: string; readonly fraction: string } => {
  const ms = msOf(text);
  const shown = ms === undefined || pageZone() === UTC ? text : clockOf(ms);
  return { date: shown.slice(0, 10), clock: shown.slice(11, 19), fraction: fractionOf(text) };
};

const fractionOf = (text: string): string => /\.\d+/.exec(text)?.[0] ?? '';

const msOf = (text: string): number | undefined => parseInstantMs(text.replace(/\+00$/, 'Z'));

export const spanText = collectionSpan;

export const agoText = (seconds: number): string => (seconds < 1 ? 'just now' : `${spanText(seconds)} ago`);

export const agoOf = (at: Date | null, nowMs: number): Html => {
  if (at === null) return html`<span class="muted">never</span>`;
  return html`<time datetime="${at.toISOString()}" title="${zonedText(at)}">${agoText((nowMs - at.getTime()) / 1_000)}</time>`;
};

export const shortened = (text: string, most: number): string =>
  text.length > most ? `${text.slice(0, most - 1).toWellFormed()}…` : text;

export const countText = (count: number): string => Math.round(count).toLocaleString('en');

export const countOf = (count: number, one: string, many = `${one}s`): string =>
  `${countText(count)} ${count === 1 ? one : many}`;

/** Quoted if a shell would take it for something else. */
export const shellWord = (text: string): string =>
  /^[\w-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

export const TIMES_COOKIE = 'orgtrail_times';
export const UTC = 'UTC';

const zones = new AsyncLocalStorage<string>();

/** Chosen by the browser, or UTC. */
export const pageZone = (): string => zones.getStore() ?? UTC;

export const keepZone = (request: FastifyRequest, _reply: FastifyReply, done: () => void): void => {
  zones.run(zoneOf(request.cookies[TIMES_COOKIE]) ?? UTC, done);
};

/** Undefined for what is no zone known here. */
export const zoneOf = (text: unknown): string | undefined => {
  if (typeof text !== 'string' || !/^[A-Za-z][A-Za-z0-9_+/-]{0,63}$/.test(text)) return undefined;
  return offsetFormat(text)?.resolvedOptions().timeZone;
};

const MAX_FORMATS = 500;
const formats = new Map<string, Intl.DateTimeFormat>();

/** Making one takes longer than all times of a page. */
const offsetFormat = (zone: string): Intl.DateTimeFormat | undefined => {
  const known = formats.get(zone);
  if (known !== undefined) return known;
  try {
    const format = new Intl.DateTimeFormat('en', { timeZone: zone, timeZoneName: 'longOffset' });
    // A zone can be spelled in many ways, and cookies are what clients say.
    if (formats.size >= MAX_FORMATS) formats.clear();
    formats.set(zone, format);
    return format;
  } catch {
    return undefined;
  }
};

/** Ahead of UTC at that moment. */
export const offsetMs = (zone: string, ms: number): number => {
  if (zone === UTC) return 0;
  const name = offsetFormat(zone)
    ?.formatToParts(ms)
    .find(({ type }) => type === 'timeZoneName')?.value;
  const match = /^GMT([+-])(\d{2}):(\d{2})(?::(\d{2}))?$/.exec(name ?? '');
  if (match === null) return 0;
  const [, sign, hours, minutes, seconds = '0'] = match;
  const ahead = (Number(hours) * 60 + Number(minutes)) * 60_000 + Number(seconds) * 1_000;
  return sign === '-' ? -ahead : ahead;
};

/** `+01:00`; `Z` for UTC. */
export const offsetText = (zone: string, ms: number): string => {
  if (zone === UTC) return 'Z';
  const minutes = Math.trunc(offsetMs(zone, ms) / 60_000);
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  return `${minutes < 0 ? '-' : '+'}${two(Math.abs(minutes) / 60)}:${two(Math.abs(minutes) % 60)}`;
};
