import { reasonOf } from '../errors.ts';
import type { Time } from '../time/clock.ts';
import type { NotedFindings } from './note-findings.sql.ts';

const MAX_POSITIONS = 50_000;
const MIN_POSITIONS = 500;
/** So long a finding may take beyond its event. The burst views read a stretch of history each time. */
const MIN_PAUSE_MS = 5_000;
const MAX_PAUSE_MS = 300_000;
/** The database works on this for an eleventh of the time at most. */
const PAUSE_PER_WORK = 10;

/** Hears what happens, for the log. */
export interface NoteObserver {
  noted?(event: NotedFindings): void;
  failed?(event: { readonly reason: string; readonly positions: number }): void;
}

export interface NoteContext {
  readonly time: Pick<Time, 'nowMs' | 'sleep'>;
  readonly observer: NoteObserver;
  /** Undefined: another replica is doing it. */
  note(maxPositions: number): Promise<NotedFindings | undefined>;
  /** Resolves once the feed has gone beyond this position; rejects if the signal aborts or the database fails. */
  waitBeyond(position: number, signal: AbortSignal): Promise<void>;
}

/**
 * Asks the detections about what comes into the feed, step by step, until the signal. Never rejects. How far it is stands in the database:
 * after a stop of any length it goes on there. A step that fails is retried with half as many positions.
 */
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
