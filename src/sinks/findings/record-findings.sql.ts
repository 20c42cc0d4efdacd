import type { Pool } from 'pg';
import { reasonOf } from '../../base/errors.ts';
import type { Time } from '../../base/time.ts';
import { sqlState } from '../../postgres/sql-state.ts';

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

/** Undefined: another process is doing it. Those of the operator come first: what they find stands before the head that the others move on. */
export const noteFindings = async (
  pool: Pool,
  maxPositions: number,
  ownLimitMs = OWN_LIMIT_MS,
): Promise<NotedFindings | undefined> => {
  for (const detection of await ownDetections(pool)) {
    const fault =
      (await askOwn(pool, detection, maxPositions, ownLimitMs)) &&
      (await askOwn(pool, detection, Math.min(maxPositions, MIN_POSITIONS), ownLimitMs));
    if (fault !== undefined) await pool.query('select orgtrail_note_own_failure($1, $2)', [detection, fault]);
  }
  const { rows } = await pool.query<NotedFindings>(
    `select noted_to::float8 as position, feed_end::float8 as head, noted::float8 as found
     from orgtrail_note_detections($1)`,
    [maxPositions],
  );
  return rows[0];
};

/** None where the account has not been given the right yet (migrate --roles). */
const ownDetections = async (pool: Pool): Promise<readonly string[]> => {
  try {
    const { rows } = await pool.query<{ detection: string }>('select detection from orgtrail_own_detections()');
    return rows.map(({ detection }) => detection);
  } catch (error) {
    if (sqlState(error) === '42501') return [];
    throw error;
  }
};

/** Of one step of a detection of the operator. */
const OWN_LIMIT_MS = 15_000;

/** Why it failed. It cannot hold up the others for longer than its limit. */
const askOwn = async (
  pool: Pool,
  detection: string,
  maxPositions: number,
  limitMs: number,
): Promise<string | undefined> => {
  const client = await pool.connect();
  try {
    await client.query(`begin; set local statement_timeout = ${limitMs}; set local lock_timeout = ${limitMs}`);
    await client.query('select from orgtrail_ask_own_detection($1, $2)', [detection, maxPositions]);
    await client.query('commit');
    client.release();
    return undefined;
  } catch (error) {
    await client.query('rollback').then(
      () => client.release(),
      () => client.release(true),
    );
    return reasonOf(error);
  }
};
