import { startEmbeddedServer } from '../../../src/postgres/embedded-server.ts';
import { startCluster } from '../../../test/support/postgres/postgres-cluster.ts';
import { withDatabase } from '../../../test/support/postgres/postgres-server.ts';

/** The database that `npm run lab bench-history` makes. */
export const HISTORY_DATABASE = 'orgtrail_bench_history';

export interface BenchServer extends AsyncDisposable {
  readonly url: string;
}

/** A new server that writes as safely as one in production, or one on `kept`, which bench-history has left. */
export const openBenchServer = async (kept: string | undefined): Promise<BenchServer> => {
  if (kept !== undefined) {
    const server = await startEmbeddedServer(kept);
    return { url: withDatabase(server.url, HISTORY_DATABASE), [Symbol.asyncDispose]: () => server.stop() };
  }
  const settings = { shared_buffers: '512MB', max_wal_size: '4GB', checkpoint_timeout: '30min', fsync: 'on' };
  const cluster = await startCluster({ settings });
  return { url: cluster.url(), [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose]() };
};
