import { ApiError } from '../../base/errors.ts';
import type { SyncContext } from './ports.ts';

export interface PlanningTime {
  readonly nowMs: number;
  readonly clock: JobClock;
}

/** The clock of the database, and when it was read on the clock of this process. */
export interface JobClock {
  readonly databaseMs: number;
  readonly atMs: number;
}

/** By the last answer that this process had, else by the last stored listing; undefined before the first answer of all.
 * What is planned with it is claimed by the answers' own time. */
export const planningTime = async ({ api, store, time, observer }: SyncContext): Promise<PlanningTime | undefined> => {
  const { databaseMs, serverMs, trimmed } = await store.readTime();
  const clock = { databaseMs, atMs: time.nowMs() };
  if (trimmed > 0) observer.futureTrimmed?.({ rows: trimmed });
  const knownMs = api.nowMs() ?? serverMs;
  if (knownMs === undefined) return undefined;
  observer.clocksCompared?.({ aheadMs: knownMs - databaseMs });
  return { nowMs: clampToDatabaseClock(knownMs, databaseMs), clock };
};

/** Throws ApiError `unreadable` if no answer had a Date. */
export const knownNowMs = ({ api }: SyncContext): number => {
  const nowMs = api.nowMs();
  if (nowMs === undefined) throw new ApiError('unreadable', 'no response of the API carries a Date header');
  return nowMs;
};

/** The listing's own clock may be wrong, and nothing before the horizon is read. */
export const credibleNowMs = async (context: SyncContext): Promise<number> => {
  const time = await planningTime(context);
  return time?.nowMs ?? knownNowMs(context);
};

export const MAX_AHEAD_MS = 60_000;

/** A server further ahead of the database is not believed: future time would count as read. One that is behind costs
 * only delay. */
export const clampToDatabaseClock = (serverMs: number, databaseMs: number): number =>
  serverMs > databaseMs + MAX_AHEAD_MS ? databaseMs : serverMs;
