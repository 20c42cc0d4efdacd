import { OrgtrailError } from '../errors.ts';
import { isEmpty, type Range } from '../ingest/planning/coverage.ts';
import { parseTimeMs, timeForms } from '../time/point-in-time.ts';
import { printable } from './output/terminal-table.ts';

/** What the help says of an option that takes a time; `end` is `inclusive` or `exclusive`. */
export const timeHelp = (end: 'inclusive' | 'exclusive'): string => `${timeForms} (UTC), ${end}`;

/** The window that two options name. Throws OrgtrailError `usage`. */
export const readWindow = (
  options: { readonly since: string; readonly before: string },
  nowMs: number = Date.now(),
): Range => {
  const window = {
    fromMs: readTime('--since', options.since, nowMs),
    toMs: readTime('--before', options.before, nowMs),
  };
  if (isEmpty(window)) throw new OrgtrailError('usage', '--before must be later than --since');
  return window;
};

/** Reads the time of an option into milliseconds since 1970. Throws OrgtrailError `usage`. */
export const readTime = (option: string, text: string, nowMs: number = Date.now()): number => {
  const timeMs = parseTimeMs(text, nowMs);
  if (timeMs !== undefined) return timeMs;
  throw new OrgtrailError('usage', `${option}: "${printable(text, 80)}" is not a time. Use ${timeForms}`);
};
