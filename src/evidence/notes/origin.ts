import { EvidenceFault } from '../evidence-fault.ts';

/** The two logs of a feed: leaves of `events` are the positions, those of `journal` are signed statements. */
export type LogName = 'events' | 'journal';

/** What names a log, everywhere: in its checkpoints, as the name of its key, and as its URL without the scheme. */
export interface LogOrigin {
  /** Where the evidence is served, without the scheme. */
  readonly base: string;
  readonly feedId: string;
  /** From 1. The next one begins if a log cannot go on, after a restore. */
  readonly generation: number;
  readonly log: LogName;
}

/** `audit.example.com/evidence/1f2e….1/events`. */
export const writeOrigin = ({ base, feedId, generation, log }: LogOrigin): string =>
  `${base}/${feedId}.${generation}/${log}`;

/** Reads what `writeOrigin` writes. Throws an EvidenceFault for any other text. */
export const parseOrigin = (text: string): LogOrigin => {
  const match = /^(.+)\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([1-9]\d{0,8})\/(events|journal)$/.exec(text);
  const [, base = '', feedId = '', generation, log] = match ?? [];
  if (match === null || faultOfBase(base) !== undefined) {
    throw new EvidenceFault(`not the origin of a log of orgtrail: ${JSON.stringify(text)}`);
  }
  return { base, feedId, generation: Number(generation), log: log as LogName };
};

/** Witnesses may have one byte for the length of an origin; feed, generation and log take at most 55. */
const MAX_BASE_LENGTH = 200;

/**
 * Why a text cannot be the origin of a log, as the end of a sentence that begins with the name of a setting; undefined if it can. It must be
 * the address without the scheme, in characters that a URL has as they are, and is part of a key name: no spaces, no `+`.
 */
export const faultOfBase = (base: string): string | undefined => {
  if (base === '') return 'is empty';
  if (base.includes('://')) return 'must be without the scheme';
  if (base.endsWith('/')) return 'must not end with "/"';
  if (base.length > MAX_BASE_LENGTH) return `must not be longer than ${MAX_BASE_LENGTH} characters`;
  const isAddress = /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[1-9]\d{0,4})?(?:\/[A-Za-z0-9._~-]+)*$/.test(base);
  return isAddress ? undefined : 'must be like audit.example.com/evidence: a host in small letters, and a path';
};
