import type { Logger } from 'pino';
import { reasonOf } from '../base/errors.ts';
import type { Time } from '../base/time.ts';
import { type DatabaseCause, databaseCause } from '../postgres/sql-state.ts';
import type { SinkStatus } from '../sinks/sink-status.sql.ts';
import { readCauses } from '../status/causes.sql.ts';
import { type Cause, keyOfCause, writingCause } from '../status/causes.ts';
import type { StatusWithStates } from '../status/source-state.ts';
import type { Config } from './config/config.ts';
import type { App } from './open-app.ts';

export type CauseWatch = ReturnType<typeof createCauseWatch>;

/** What is wrong, with what this process alone knows: that it cannot write, and since when it has seen a cause that tells no time. */
export const createCauseWatch = (config: Config, app: App, trouble: ReturnType<typeof createSyncTrouble>) => {
  const seen = new Map<string, string>();
  const read = async (status: StatusWithStates, sinks: readonly SinkStatus[]): Promise<readonly Cause[]> => {
    const known = { writing: trouble.current(), accessTrouble: app.access.trouble() };
    // What was silent before this process began is over.
    const aliveSecondsAgo = Math.min(status.aliveSecondsAgo ?? 0, process.uptime());
    const causes = await readCauses(app.database.pool, config, { ...status, aliveSecondsAgo }, sinks, known);
    const keys = new Set(causes.map(keyOfCause));
    for (const key of seen.keys()) if (!keys.has(key)) seen.delete(key);
    return causes.map((cause) => {
      const since = seen.get(keyOfCause(cause)) ?? cause.since ?? new Date().toISOString().replace(/\.\d+Z$/, 'Z');
      seen.set(keyOfCause(cause), since);
      return { ...cause, since };
    });
  };
  return {
    read,
    current: async (): Promise<readonly Cause[]> => read(await app.statusReader.read(config), await app.sinks()),
  };
};

/** A cause is named within a minute. */
const LOOK_EVERY_MS = 15_000;
const SUM_EVERY_MS = 3_600_000;

export const logCausesForever = async (
  watch: Pick<CauseWatch, 'current'>,
  { logger, time, signal }: { readonly logger: Logger; readonly time: Time; readonly signal: AbortSignal },
): Promise<void> => {
  const log = logCauses(logger, time.nowMs);
  for (;;) {
    // At its start it knows nothing yet.
    await time.sleep(LOOK_EVERY_MS, signal).catch(() => {});
    if (signal.aborted) return;
    await watch.current().then(log, (error: unknown) => log([writingCause(databaseCause(error))], false));
  }
};

/** Each once when it begins and once when it is over; what lasts is summed up once an hour. `areAll`: others are over. `nowMs` never goes back. */
export const logCauses = (logger: Logger, nowMs: () => number) => {
  const open = new Map<string, { readonly what: string; readonly sinceMs: number }>();
  let summedAtMs = nowMs();
  return (causes: readonly Cause[], areAll = true): void => {
    const byKey = Map.groupBy(causes, keyOfCause);
    for (const [key, { what, sinceMs }] of open) {
      if (byKey.has(key) || !areAll) continue;
      open.delete(key);
      logger.info({ cause: key, lastedSeconds: Math.round((nowMs() - sinceMs) / 1_000) }, `over: ${what}`);
    }
    for (const [key, [cause]] of byKey) {
      if (cause === undefined || open.has(key)) continue;
      open.set(key, { what: cause.what, sinceMs: nowMs() });
      const { severity, count, since, what, action } = cause;
      logger[severity === 'critical' ? 'error' : 'warn']({ cause: key, severity, count, since, action }, what);
    }
    if (open.size === 0) summedAtMs = nowMs();
    if (nowMs() - summedAtMs < SUM_EVERY_MS) return;
    summedAtMs = nowMs();
    logger.warn({ causes: [...open.keys()] }, 'still wrong; orgtrail status says what to do');
  };
};

/** Why syncing as a whole does not go on, although the database may be read. Remembers a failure for two ticks. `nowMs` is a steady clock. */
export const createSyncTrouble = (tickMs: number, nowMs: () => number) => {
  let latest: (DatabaseCause & { readonly reason: string; readonly since: Date; readonly atMs: number }) | undefined;
  /** The latest, while it is fresh: with trouble that lasts, every tick fails again. */
  const current = () => (latest !== undefined && nowMs() - latest.atMs <= 2 * tickMs ? latest : undefined);
  return {
    failed: (error: unknown): void => {
      const since = current()?.since ?? new Date();
      latest = { ...databaseCause(error), reason: reasonOf(error), since, atMs: nowMs() };
    },
    current,
  };
};
