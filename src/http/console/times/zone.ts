import { AsyncLocalStorage } from 'node:async_hooks';
import type { FastifyReply, FastifyRequest } from 'fastify';

export const TIMES_COOKIE = 'orgtrail_times';
export const UTC = 'UTC';

const zones = new AsyncLocalStorage<string>();

/** The time zone of the page that is being made: the one that its browser has chosen, or UTC. */
export const pageZone = (): string => zones.getStore() ?? UTC;

/** A hook of Fastify: what answers the request sees its zone. */
export const keepZone = (request: FastifyRequest, _reply: FastifyReply, done: () => void): void => {
  zones.run(zoneOf(request.cookies[TIMES_COOKIE]) ?? UTC, done);
};

/** The name of a zone that is known here; undefined for any other text. */
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

/** How far the clocks of the zone are ahead of UTC at that moment. */
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
