import { isIP } from 'node:net';
import { z } from 'zod';
import { parseDateOrInstantMs, parseDurationMs } from '../../base/time.ts';
import type { SourceKindName } from '../../ingest/sources/registry.ts';

export type History = { readonly sinceMs: number } | { readonly durationMs: number };

export const SECOND_MS = 1_000;
export const HOUR_MS = 3_600_000;
export const DAY_MS = 86_400_000;
const MAX_SCRUB_SHARE = 0.5;

/** `parse` gives undefined for what it cannot read; `expected` says what it accepts. */
export const setting = <T>(fallback: string, expected: string, parse: (text: string) => T | undefined) =>
  z
    .string()
    .default(fallback)
    .transform((text, issue): T => {
      const value = parse(text.trim());
      if (value === undefined) {
        // What is wrong with a URL may be the password in it.
        const sent = text.includes('@') || text.includes('://') ? '' : `, not ${JSON.stringify(text)}`;
        issue.addIssue({ code: 'custom', message: `must be ${expected}${sent}` });
      }
      return value as T;
    });

export const wholeNumber = (fallback: string, smallest: number, largest: number) =>
  setting(fallback, `an integer between ${smallest} and ${largest}`, (text) => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
    return value >= smallest && value <= largest ? value : undefined;
  });

export const duration = (fallback: string, expected: string, leastMs: number, mostMs = Number.POSITIVE_INFINITY) =>
  setting(fallback, expected, (text) => {
    const durationMs = parseDurationMs(text);
    return durationMs !== undefined && durationMs >= leastMs && durationMs <= mostMs ? durationMs : undefined;
  });

export const oneOf = <const T extends string>(fallback: string, expected: string, words: readonly T[]) =>
  setting(fallback, expected, (text) => words.find((word) => word === text));

/** `parse` gives a text for what it cannot read: what is wrong with it. */
export const orFault = <T extends object>(parse: (text: string) => T | string) =>
  z
    .string()
    .transform((text, issue) => {
      const value = parse(text);
      if (typeof value !== 'string') return value;
      issue.addIssue({ code: 'custom', message: value });
      return z.NEVER;
    })
    .optional();

export const textWithout = (faultOf: (text: string) => string | undefined) =>
  z
    .string()
    .superRefine((text, issue) => {
      const message = faultOf(text);
      if (message !== undefined) issue.addIssue({ code: 'custom', message });
    })
    .optional();

export const optionalText = z.string().optional();

const list = (text: string): string[] => text.split(/[\s,]+/).filter((item) => item !== '');

export const httpUrl = (text: string): string | undefined => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) return undefined;
  if (`${url.username}${url.password}${url.search}${url.hash}` !== '') return undefined;
  return text.replace(/\/+$/, '');
};

export const settleDelays = (text: string): readonly number[] | undefined => {
  if (text === 'none') return [];
  const delaysMs = list(text).map(parseDurationMs);
  const valid = delaysMs.every((delayMs, index) => {
    const before = index === 0 ? 0 : (delaysMs[index - 1] ?? 0);
    return delayMs !== undefined && delayMs >= SECOND_MS && delayMs > before;
  });
  return valid ? (delaysMs as number[]) : undefined;
};

export const history = (text: string): History | undefined => {
  const durationMs = parseDurationMs(text);
  if (durationMs !== undefined && durationMs > 0) return { durationMs };
  const sinceMs = parseDateOrInstantMs(text);
  return sinceMs === undefined ? undefined : { sinceMs };
};

export const share = (text: string): number | undefined => {
  const percent = /^(\d{1,3}(?:\.\d{1,3})?)\s*%$/.exec(text)?.[1];
  const value = text === '0' ? 0 : Number(percent ?? Number.NaN) / 100;
  return value <= MAX_SCRUB_SHARE ? value : undefined;
};

export const daysOr =
  (word: string) =>
  (text: string): number | undefined => {
    const durationMs = text === word ? Number.POSITIVE_INFINITY : (parseDurationMs(text) ?? 0);
    return durationMs >= DAY_MS ? durationMs : undefined;
  };

export type AccountsWanted = 'all' | 'organizations' | readonly string[];

export const accountsWanted = (text: string): AccountsWanted | undefined => {
  if (text === 'all' || text === 'organizations') return text;
  const ids = organizationIds(text);
  return ids?.length ? ids : undefined;
};

const kindWords: Readonly<Record<string, SourceKindName>> = { organizations: 'organization', accounts: 'account' };

export const sourceKinds = (text: string): readonly SourceKindName[] | undefined => {
  const kinds = list(text).map((word) => kindWords[word]);
  return kinds.length > 0 && !kinds.includes(undefined) ? [...new Set(kinds as SourceKindName[])] : undefined;
};

export const organizationIds = (text: string): readonly string[] | undefined | null => {
  const ids = [...new Set(list(text))];
  return ids.every((id) => /^[\w-]{1,64}$/.test(id)) ? ids : undefined;
};

export const s3Key = z
  .string()
  .trim()
  .regex(/^[\x21-\x7e]+$/, 'must be printable ASCII without spaces')
  .optional();

/** Undefined if one is neither an address nor a subnet. */
export const parseProxies = (text: string): readonly string[] | undefined => {
  const items = list(text);
  return items.every(isAddressOrSubnet) ? items : undefined;
};

const isAddressOrSubnet = (item: string): boolean => {
  const [address = '', bits, ...more] = item.split('/');
  const family = isIP(address);
  if (family === 0 || more.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
};
