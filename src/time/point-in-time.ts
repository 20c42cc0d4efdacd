import { parseDurationMs } from './duration.ts';
import { parseDateOrInstantMs } from './instant.ts';

/** How a time can be written, for errors and help. */
export const timeForms = '24h, 7d, now, 2026-01-31 or 2026-01-31T08:00Z';

const withoutSeconds = /^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2})(:\d{2}(?:\.\d{1,12})?)?([Zz]|[+-]\d{2}:\d{2})?$/;

/**
 * Reads a time that a person writes into milliseconds since 1970: `now`, so long before now (`24h`), a date, or an instant, UTC
 * when it has no zone. Relative times are cut to whole seconds. Undefined for anything else.
 */
export const parseTimeMs = (text: string, nowMs: number): number | undefined => {
  const trimmed = text.trim();
  const agoMs = /^now$/i.test(trimmed) ? 0 : parseDurationMs(trimmed);
  if (agoMs !== undefined) return agoMs > nowMs ? undefined : Math.floor((nowMs - agoMs) / 1_000) * 1_000;
  const [, date, minute, seconds = ':00', zone = 'Z'] = withoutSeconds.exec(trimmed) ?? [];
  return parseDateOrInstantMs(date === undefined ? trimmed : `${date}T${minute}${seconds}${zone}`);
};
