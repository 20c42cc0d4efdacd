import type { Pool } from 'pg';
import { reasonOf } from '../../base/errors.ts';
import type { Time } from '../../base/time.ts';

const MAX_POSITIONS = 50_000;
const MIN_POSITIONS = 500;
/** Delay of a finding after its event. The burst views read a stretch of history each time. */
const MIN_PAUSE_MS = 5_000;
const MAX_PAUSE_MS = 300_000;
/** The database works on this at most an eleventh of the time. */
const PAUSE_PER_WORK = 10;

export interface NoteObserver {
  noted?(event: NotedFindings): void;
  failed?(event: { readonly reason: string; readonly positions: number }): void;
}

interface NoteContext {
  readonly time: Pick<Time, 'nowMs' | 'sleep'>;
  readonly observer: NoteObserver;
  /** Undefined: another replica is doing it. */
  note(maxPositions: number): Promise<NotedFindings | undefined>;
  /** Resolves once the feed is beyond this position; rejects on abort or if the database fails. */
  waitBeyond(position: number, signal: AbortSignal): Promise<void>;
}

/** Asks the detections step by step; never rejects. Progress is in the database. A failed step is retried with half as many positions. */
export const noteForever = async (context: NoteContext, signal: AbortSignal): Promise<void> => {
  const { time, observer } = context;
  let positions = MAX_POSITIONS;
  while (!signal.aborted) {
    const startedMs = time.nowMs();
    try {
      const noted = await context.note(positions);
      if (noted !== undefined) {
        observer.noted?.(noted);
        positions = Math.min(MAX_POSITIONS, positions * 2);
      }
      await time.sleep(pauseMs(time.nowMs() - startedMs), signal);
      if (noted?.position === noted?.head) await context.waitBeyond(noted?.head ?? 0, signal);
    } catch (error) {
      if (signal.aborted) return;
      observer.failed?.({ reason: reasonOf(error), positions });
      positions = Math.max(MIN_POSITIONS, Math.floor(positions / 2));
      await time.sleep(pauseMs(time.nowMs() - startedMs), signal).catch(() => {});
    }
  }
};

const pauseMs = (workMs: number): number => Math.min(MAX_PAUSE_MS, Math.max(MIN_PAUSE_MS, workMs * PAUSE_PER_WORK));

/** From the beginning of the feed or from its end on. No effect if already wanted. */
export const wantDetections = async (pool: Pool, fromBeginning: boolean): Promise<void> => {
  await pool.query('select orgtrail_want_detections($1)', [fromBeginning]);
};

interface NotedFindings {
  /** The detections have been asked up to here. */
  readonly position: number;
  readonly head: number;
  readonly found: number;
}

/** Undefined: another process is doing it. */
export const noteFindings = async (pool: Pool, maxPositions: number): Promise<NotedFindings | undefined> => {
  const { rows } = await pool.query<NotedFindings>(
    `select noted_to::float8 as position, feed_end::float8 as head, noted::float8 as found
     from orgtrail_note_detections($1)`,
    [maxPositions],
  );
  return rows[0];
};
