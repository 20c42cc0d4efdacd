import { InvalidArgumentError } from 'commander';
import { OrgtrailError } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import { parseTimeMs, timeForms } from '../base/time.ts';
import { isEmpty, type Range } from '../ingest/planning/coverage.ts';

/** Of a field of an input: `--resource-type` for `resource_type`. */
export const optionOf = (field: string): string => `--${field.replaceAll('_', '-')}`;

/** Where commander puts its value. */
export const keyOf = (field: string): string => field.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

/** Reads the value of an option. Throws InvalidArgumentError. */
export const wholeNumber = (least: number, most?: number) => (text: string) => {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value) && value >= least && value <= (most ?? value)) return value;
  const range = most === undefined ? `of at least ${least}` : `between ${least} and ${most}`;
  throw new InvalidArgumentError(`It must be an integer ${range}.`);
};

export const timeHelp = (end: 'inclusive' | 'exclusive'): string => `${timeForms} (UTC), ${end}`;

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

/** Milliseconds since 1970. Throws OrgtrailError `usage`. */
export const readTime = (option: string, text: string, nowMs: number = Date.now()): number => {
  const timeMs = parseTimeMs(text, nowMs);
  if (timeMs !== undefined) return timeMs;
  throw new OrgtrailError('usage', `${option}: "${printable(text, 80)}" is not a time. Use ${timeForms}`);
};
