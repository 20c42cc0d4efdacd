import { DatabaseError } from 'pg';

const DEADLOCK_DETECTED = '40P01';

/**
 * Changes rows behind the back of running daemons. A statement over many rows takes their locks in another order than the
 * daemons do, so PostgreSQL may end either of the two. A daemon retries by itself.
 */
export const retryDeadlocks = async <T>(change: () => Promise<T>): Promise<T> => {
  for (;;) {
    try {
      return await change();
    } catch (error) {
      if (!(error instanceof DatabaseError && error.code === DEADLOCK_DETECTED)) throw error;
    }
  }
};
