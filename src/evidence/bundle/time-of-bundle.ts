import { textOf } from '../bytes.ts';
import { EvidenceFault } from '../evidence-fault.ts';
import { microsecondsOf } from '../journal/instants.ts';
import { readStrictJson } from '../journal/strict-json.ts';
import { LEAVES_PER_PAYLOAD } from './layout.ts';

/** `events/time`: that it is there makes the bundle one of a time. */
export const BUNDLE_TIME_PATH = 'events/time';

/** `events/withheld/000000.leaves`: the leaves without content of those that payload is cut like, each its data after its length in two bytes. */
export const withheldPath = (index: number): string =>
  `events/withheld/${String(Math.floor(index / LEAVES_PER_PAYLOAD)).padStart(6, '0')}.leaves`;

/** The time that a bundle is of, [since, before), in RFC 3339 in UTC; null: from the beginning, or without end. */
export interface BundleTime {
  readonly since: string | null;
  readonly before: string | null;
}

export const writeBundleTime = ({ since, before }: BundleTime): string => `${JSON.stringify({ since, before })}\n`;

/** Throws an EvidenceFault for what is no time, for one that is empty, and for other fields. */
export const readBundleTime = (bytes: Uint8Array): BundleTime => {
  const value = (readStrictJson(textOf(bytes, 'it'), 'it') ?? {}) as Readonly<Record<string, unknown>>;
  const { since, before } = value;
  if (!isTimeOrNull(since) || !isTimeOrNull(before) || Object.keys(value).length !== 2)
    throw new EvidenceFault('it is not since and before');
  const [start, end] = boundsOf({ since, before });
  if (start >= end) throw new EvidenceFault('it is an empty time');
  return { since, before };
};

const INFINITE = 2n ** 80n;

const isTimeOrNull = (value: unknown): value is string | null =>
  value === null || (typeof value === 'string' && microsecondsOf(value) !== undefined);

/** In microseconds since 1970; an open end is beyond all times. */
export const boundsOf = ({ since, before }: BundleTime): [sinceUs: bigint, beforeUs: bigint] => [
  (since === null ? undefined : microsecondsOf(since)) ?? -INFINITE,
  (before === null ? undefined : microsecondsOf(before)) ?? INFINITE,
];

/** Whether an event is of a time, by when it happened. One without a time always is: none can say that it is not. */
export const isOfTime = (time: BundleTime): ((actionTimeUs: bigint | undefined) => boolean) => {
  const [since, before] = boundsOf(time);
  return (us) => us === undefined || (since <= us && us < before);
};

/** For people. */
export const bundleTimeText = ({ since, before }: BundleTime): string =>
  `${since ?? 'the beginning'} to ${before ?? 'the end'}`;
