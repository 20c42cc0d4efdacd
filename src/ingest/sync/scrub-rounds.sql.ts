import type { Pool } from 'pg';
import type { RoundStart } from '../planning/scrub.ts';
import type { SourceKey } from '../planning/source.ts';

/** What one page of the scrub lane showed. */
export interface ScrubPart {
  readonly source: SourceKey;
  readonly filterHash: string;
  readonly round: RoundStart;
  /** The oldest time that the round reads. */
  readonly sinceMs: number;
  readonly entries: number;
  /** Of these, were not stored, or with other content alone. They are now. */
  readonly missing: number;
  readonly changed: number;
  /** How much time it was the last page of, in seconds. */
  readonly seconds: number;
  readonly ended: boolean;
}

/** A statement of its own, after the page is committed: a process that dies in between leaves the page out of the
 * result, and one that comes again counts again. */
export const noteScrub = async (pool: Pool, owner: string, part: ScrubPart): Promise<void> => {
  const { source, filterHash, round, ...counts } = part;
  const { number, beganMs, untilMs: beforeMs } = round;
  await pool.query('select orgtrail_note_scrub($1, $2, $3, $4, $5)', [
    source.kind,
    source.id,
    filterHash,
    owner,
    JSON.stringify({ ...counts, round: number, beganMs, beforeMs }),
  ]);
};
