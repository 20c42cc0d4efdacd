import type { Logger } from 'pino';
import type { NamedSink } from '../../config/sinks.ts';
import { noteFindings, wantDetections } from '../../findings/note-findings.sql.ts';
import { type NoteObserver, noteForever } from '../../findings/note-forever.ts';
import { readFindingHead } from '../../findings/read-findings.sql.ts';
import type { Pool } from '../../postgres/pool.ts';
import type { Time } from '../../time/clock.ts';

/** How soon a sink receives what was noted. */
const LOOK_EVERY_MS = 1_000;

const ofDetections = (sinks: readonly NamedSink[]): readonly NamedSink[] =>
  sinks.filter(({ settings }) => settings.events === 'detections');

export interface FindingsOptions {
  readonly pool: Pool;
  readonly time: Time;
  readonly logger: Logger;
  /** Ends it. */
  readonly signal: AbortSignal;
  waitBeyond(position: number, signal: AbortSignal): Promise<void>;
}

/** Before the sinks are registered: says from where on detections are noted, if a sink is sent them. */
export const prepareFindings = async (pool: Pool, sinks: readonly NamedSink[]): Promise<void> => {
  const wanted = ofDetections(sinks);
  if (wanted.length === 0) return;
  await wantDetections(
    pool,
    wanted.some(({ settings }) => settings.start === 'beginning'),
  );
};

/** Asks the detections about what comes in, as long as the daemon runs; resolves after the signal. Nothing without a sink that is sent them. */
export const startFindings = async (sinks: readonly NamedSink[], options: FindingsOptions): Promise<void> => {
  if (ofDetections(sinks).length === 0) return;
  const { pool, time, logger, signal, waitBeyond } = options;
  const note = (maxPositions: number) => noteFindings(pool, maxPositions);
  await noteForever({ time, observer: logFindings(logger), note, waitBeyond }, signal);
};

const logFindings = (logger: Logger): NoteObserver => {
  let failures = 0;
  return {
    noted: ({ position, found }) => {
      if (failures > 0) logger.info({ failures }, 'detections are noted again');
      failures = 0;
      if (found > 0) logger.info({ findings: found, position }, 'detections found something');
    },
    failed: (event) => {
      failures += 1;
      if (failures === 1) logger.error(event, 'what the detections find could not be noted; retrying');
      else logger.debug({ ...event, failures }, 'what the detections find could not be noted; retrying');
    },
  };
};

/** Resolves once the detections have been asked beyond this position; rejects if the signal aborts or the database fails. */
export const waitForFindings = async (
  pool: Pool,
  time: Pick<Time, 'sleep'>,
  after: number,
  signal: AbortSignal,
): Promise<void> => {
  while (((await readFindingHead(pool)) ?? 0) <= after) await time.sleep(LOOK_EVERY_MS, signal);
};
