import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { installPgbouncer, startPgbouncer } from '../test/support/postgres/pgbouncer.ts';
import { startCluster } from '../test/support/postgres/postgres-cluster.ts';

/**
 * Runs the integration tests with pgbouncer in transaction mode between them and PostgreSQL. Arguments go to vitest.
 * Left out is what tests the server itself in ways that no pooler lets through.
 */
const leftOut = [
  // Give their databases settings, which reach no connection that pgbouncer has open already.
  'test/integration/postgres/pools.test.ts',
  'test/integration/postgres/refused-by-database.test.ts',
  // Cancels backends by their process id, which by then serve another client.
  'test/integration/feed/feed-position.test.ts',
  // Waits until notifications arrive, which pgbouncer does not hand on; that the daemon notices is tested there, too.
  'test/integration/feed/signal.test.ts',
];

const missing = await installPgbouncer();
if (missing !== undefined) {
  console.log(`skipped: ${missing}`);
} else {
  await using cluster = await startCluster({
    settings: { max_connections: 300, client_connection_check_interval: '1s' },
  });
  await using pgbouncer = await startPgbouncer({
    server: cluster,
    users: ['admin'],
    lookUpAs: 'admin',
    poolSize: 8,
    // A database that is copied, or dropped, must not be in use.
    serverIdleTimeoutSeconds: 1,
  });
  const url = `postgres://admin@127.0.0.1:${pgbouncer.port}/postgres`;
  const vitest = [
    'run',
    '--project',
    'integration',
    '--project',
    'long',
    ...leftOut.flatMap((file) => ['--exclude', file]),
  ];
  const child = spawn(process.execPath, ['node_modules/vitest/vitest.mjs', ...vitest, ...process.argv.slice(2)], {
    env: { ...process.env, TEST_DATABASE_URL: url },
    stdio: 'inherit',
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  process.exitCode = code ?? 1;
}
