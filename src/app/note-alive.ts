import type { Pool } from '../postgres/pool.ts';
import { noteAlive } from '../postgres/position-jumps.ts';
import type { Time } from '../time/clock.ts';

/** A failover makes positions jump by so much more for each second between the last note and the first commit. */
const NOTE_EVERY_MS = 5_000;

/** Notes in the database every few seconds that it is at work, until the signal. Called by the daemon; replicas share the notes. */
export const noteAliveForever = async (pool: Pool, time: Pick<Time, 'sleep'>, signal: AbortSignal): Promise<void> => {
  while (!signal.aborted) {
    // A database that is away is told of by all else; without a note positions jump further, and no less safely.
    await pool.query(noteAlive).catch(() => {});
    await time.sleep(NOTE_EVERY_MS, signal).catch(() => {});
  }
};
