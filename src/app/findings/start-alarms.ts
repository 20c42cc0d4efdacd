import type { Logger } from 'pino';
import type { NamedSink } from '../../config/sinks.ts';
import { reasonOf } from '../../errors.ts';
import { hasAlarmChanges, noteAlarms, registerAlarmSinks } from '../../findings/alarms/alarms.sql.ts';
import type { Pool } from '../../postgres/pool.ts';
import { type AlarmFacts, alarmsOf } from '../../status/alarms.ts';
import type { Time } from '../../time/clock.ts';

const LOOK_EVERY_MS = 15_000;
/** How soon a sink receives what was noted. */
const CHANGES_EVERY_MS = 1_000;
/** So long a trouble must last: what passes by itself is no alarm. */
const OPEN_AFTER_MS = 120_000;

const ofAlarms = (sinks: readonly NamedSink[]): readonly NamedSink[] =>
  sinks.filter(({ settings }) => settings.events === 'alarms');

/** Once the sinks are registered: says where those of alarms begin. */
export const prepareAlarms = async (pool: Pool, sinks: readonly NamedSink[]): Promise<void> => {
  const wanted = ofAlarms(sinks).map(({ name, settings }) => ({ name, start: settings.start }));
  await registerAlarmSinks(pool, wanted);
};

export interface AlarmOptions {
  readonly pool: Pool;
  readonly time: Pick<Time, 'sleep'>;
  readonly logger: Logger;
  /** Ends it. */
  readonly signal: AbortSignal;
  /** How everything stands. Rejects if the database does not answer. */
  facts(): Promise<AlarmFacts>;
  /** Default: two minutes. */
  readonly openAfterMs?: number;
}

/** Looks at how everything stands, and notes what is wrong, until the signal. Nothing without a sink of alarms. */
export const startAlarms = async (sinks: readonly NamedSink[], options: AlarmOptions): Promise<void> => {
  if (ofAlarms(sinks).length === 0) return;
  const { pool, time, logger, signal, facts, openAfterMs = OPEN_AFTER_MS } = options;
  let failures = 0;
  while (!signal.aborted) {
    try {
      await noteAlarms(pool, alarmsOf(await facts()), openAfterMs);
      if (failures > 0) logger.info({ failures }, 'alarms are noted again');
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      failures += 1;
      const level = failures === 1 ? 'error' : 'debug';
      logger[level]({ reason: reasonOf(error), failures }, 'alarms could not be noted; retrying');
    }
    await time.sleep(LOOK_EVERY_MS, signal).catch(() => {});
  }
};

/** Resolves once an alarm was opened or resolved after this one; rejects if the signal aborts or the database fails. */
export const waitForAlarms = async (
  pool: Pool,
  time: Pick<Time, 'sleep'>,
  after: number,
  signal: AbortSignal,
): Promise<void> => {
  while (!(await hasAlarmChanges(pool, after))) await time.sleep(CHANGES_EVERY_MS, signal);
};
