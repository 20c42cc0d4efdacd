import type { Pool } from 'pg';

/** Says that detections are to be noted: from the beginning of the feed, or from its end on. Nothing if they already are. */
export const wantDetections = async (pool: Pool, fromBeginning: boolean): Promise<void> => {
  await pool.query('select orgtrail_want_detections($1)', [fromBeginning]);
};

export interface NotedFindings {
  /** The detections have been asked about all positions up to here. */
  readonly position: number;
  /** The end of the feed. */
  readonly head: number;
  readonly found: number;
}

/** Asks the detections about so many positions at most, and notes what they find. Undefined: another process is doing it. */
export const noteFindings = async (pool: Pool, maxPositions: number): Promise<NotedFindings | undefined> => {
  const { rows } = await pool.query<NotedFindings>(
    `select noted_to::float8 as position, feed_end::float8 as head, noted::float8 as found
     from orgtrail_note_detections($1)`,
    [maxPositions],
  );
  return rows[0];
};
