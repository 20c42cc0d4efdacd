import { execFileSync, spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { startSimulator } from '../../../src/simulator/simulator.ts';
import { KUSTOMIZE, renderOverlay } from '../../support/deploy/kubernetes-objects.ts';
import { startCluster } from '../../support/postgres/postgres-cluster.ts';
import { runOrgtrail } from '../../support/process/orgtrail-process.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';

const { folder, file } = temporaryFolder();
const hasTools = [KUSTOMIZE, 'psql'].every((tool) => spawnSync(tool, ['--help']).status === 0);

test.skipIf(!hasTools)('overlay try: the daemon collects with an account that can change no event', async () => {
  await using stack = new AsyncDisposableStack();
  const objects = renderOverlay('try');
  const secretOf = (name: string, key: string): string => {
    // A hash ends the name.
    const object = objects.find(
      ({ kind, metadata }) => kind === 'Secret' && metadata.name.replace(/-[^-]+$/, '') === name,
    );
    return Buffer.from(object?.data?.[key] ?? '', 'base64').toString();
  };
  const script = objects.flatMap(({ data }) => data?.['accounts.sh'] ?? []).join('');
  file('daemon-password', secretOf('orgtrail-postgres', 'daemon-password'));
  const cluster = stack.use(await startCluster());
  const simulator = stack.adopt(await startSimulator({ organizations: 1, entries: 20 }), (each) => each.close());
  // As the image of PostgreSQL does with it.
  await cluster.sql('create role orgtrail superuser login');
  await cluster.sql('create database orgtrail owner orgtrail');
  execFileSync('bash', ['-c', script.replaceAll('/run/secrets/postgres', folder)], {
    env: {
      PATH: process.env['PATH'],
      POSTGRES_USER: 'orgtrail',
      POSTGRES_DB: 'orgtrail',
      PGHOST: cluster.host,
      PGPORT: String(cluster.port),
    },
  });
  const here = (url: string) => url.replace('postgres:5432', `${cluster.host}:${cluster.port}`);
  const ownerUrl = here(secretOf('orgtrail-owner', 'owner-url'));
  const daemonUrl = here(secretOf('orgtrail', 'database-url'));
  expect(new URL(daemonUrl).password).toBe(secretOf('orgtrail-postgres', 'daemon-password'));

  const migrated = await runOrgtrail(['migrate', '--roles'], { DATABASE_URL: ownerUrl });
  expect(migrated, migrated.stderr).toMatchObject({ code: 0 });
  const synced = await runOrgtrail(['sync'], {
    DATABASE_URL: daemonUrl,
    CLOUDFLARE_API_TOKEN: 'token-of-the-test',
    CLOUDFLARE_BASE_URL: simulator.baseUrl,
  });
  expect(synced, synced.stderr).toMatchObject({ code: 0 });
  const daemon = new URL(daemonUrl).username;
  const [rights] = await cluster.sql(
    `select (select count(*)::integer from audit_events) as events, pg_has_role('${daemon}', 'orgtrail_ingest', 'member') as member,
       (select rolsuper from pg_roles where rolname = '${daemon}') as superuser,
       has_table_privilege('${daemon}', 'audit_events', 'update, delete, truncate') as changes`,
    'orgtrail',
  );
  expect(rights).toEqual({ events: 20, member: true, superuser: false, changes: false });
});
