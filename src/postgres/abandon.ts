import type { Pool, PoolClient } from 'pg';

/** A statement was given up because the one who asked has gone. */
export class AbandonedError extends Error {
  override readonly name = 'AbandonedError';
}

/** A connection of the pool. Rejects with AbandonedError on abort; then what was waited for goes back when it comes. */
export const acquire = async (pool: Pool, signal: AbortSignal | undefined): Promise<PoolClient> => {
  const connecting = pool.connect();
  try {
    return await abandonOnAbort(connecting, signal);
  } catch (error) {
    if (error instanceof AbandonedError) {
      connecting.then(
        (client) => client.release(),
        () => {},
      );
    }
    throw error;
  }
};

/**
 * What `work` comes to, or AbandonedError as soon as the signal aborts. Who then releases the connection with that error makes the
 * pool close it, and the server end what it has under way.
 */
export const abandonOnAbort = async <T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> => {
  if (signal === undefined) return await work;
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(new AbandonedError('the statement was abandoned'));
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
};
