import { setTimeout as sleep } from 'node:timers/promises';

const IMAGE = 'postgres:17-trixie';
/** Pulling the image is part of it. */
const TIMEOUT_MS = 180_000;

/**
 * A PostgreSQL in a container. Undefined where no Docker engine answers; rejects where one does that cannot run it (no
 * image, and no registry to pull it from). Ends with the process that started it, if not before, unless
 * TESTCONTAINERS_RYUK_DISABLED is set. Called once a run by postgres-server.ts.
 */
export const startPostgresContainer = async (): Promise<{ url: string; stop(): Promise<void> } | undefined> => {
  // Loaded only now: it is large, and most runs of a single test need none of it.
  const { getContainerRuntimeClient } = await import('testcontainers');
  const answers = await getContainerRuntimeClient().then(
    () => true,
    () => false,
  );
  if (!answers) return undefined;
  const { PostgreSqlContainer } = await import('@testcontainers/postgresql');
  const starting = new PostgreSqlContainer(IMAGE)
    .withUsername('orgtrail')
    .withDatabase('orgtrail')
    // Hundreds of databases are made and dropped: in memory that takes a third of the time.
    .withTmpFs({ '/var/lib/postgresql/data': 'rw' })
    // Every test file has a pool, some have processes of their own beside it.
    .withCommand(['postgres', '-c', 'max_connections=500', '-c', 'fsync=off', '-c', 'full_page_writes=off'])
    .start();
  const container = await Promise.race([starting, sleep(TIMEOUT_MS, undefined, { ref: false })]);
  if (container === undefined) throw new Error(`${IMAGE} did not start within ${TIMEOUT_MS / 1_000} s`);
  return {
    url: container.getConnectionUri(),
    stop: async () => {
      await container.stop();
    },
  };
};
