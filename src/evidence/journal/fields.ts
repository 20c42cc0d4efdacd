import { z } from 'zod';
import { microsecondsOf } from './instants.ts';

/*
 * What the fields of statements are made of. All are texts and numbers that every JSON parser reads the same: hashes in small
 * hexadecimal digits (a root as its checkpoint has it, in base64), instants in UTC, numbers below 2⁵³.
 */

/** A number of events, a position, a size. */
export const count = z.int().nonnegative();

/** SHA-256 of something, or the chain of a source. */
export const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/);

/** RFC 3339 in UTC, to the microsecond at most: `microsecondsOf` reads it. */
export const instant = z.string().refine((text) => microsecondsOf(text) !== undefined, { error: 'is no instant' });

/** A month of UTC as `monthOf` names it: that of the events whose payload goes with one key. */
export const month = z.string().regex(/^(?:(?:\d{4}|[+-]\d{6})-(?:0[1-9]|1[0-2])|-infinity)$/);

/** A checkpoint without its signatures: the tree of `events` as it was when the statement was made. */
export const tree = z.object({
  origin: z.string().min(1),
  size: count,
  /** In base64, as the checkpoint has it. */
  root: z.string().regex(/^[A-Za-z0-9+/]{43}=$/),
});
export type StatedTree = z.infer<typeof tree>;

/** Every range of a statement has its start in it and its end not: [from, to). */
export const positionRanges = z.array(
  z.tuple([count, count]).refine(([from, to]) => from >= 1 && from < to, { error: 'is no range of positions' }),
);
/** [first position, position after the last]. */
export type PositionRange = readonly [from: number, to: number];

/** Of time. A source may be proven to its very beginning, which is `-infinity`. */
export const timeRange = z
  .tuple([z.union([instant, z.literal('-infinity')]), instant])
  .refine(([from, to]) => (microsecondsOf(from) ?? microsecondsOf(to) ?? 0n) <= (microsecondsOf(to) ?? 0n), {
    error: 'ends before it starts',
  });
export const timeRanges = z.array(timeRange);
