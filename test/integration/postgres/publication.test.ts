import { describe, expect, test } from 'vitest';
import { createLogin } from '../../support/accounts/login.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';

const database = databaseOfTests({ empty: true });

describe('migrate --publication', () => {
  test('by the owner, who is no superuser: events by insert via the root, organizations apart; and again, whatever became of them', async () => {
    const { pool, url } = database;
    await using owner = await createLogin(database);
    await pool.query(`alter database ${new URL(url).pathname.slice(1)} owner to ${owner.name}`);
    const first = await publish(owner.url);
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(first.stdout).toContain('the publications orgtrail and orgtrail_organizations are ready');
    const { rows } = await pool.query('show wal_level');
    const warned = first.stdout.includes('restarted with wal_level = logical');
    expect(warned, 'says so where the server cannot replicate').toBe(rows[0].wal_level !== 'logical');

    const inserts = { pubinsert: true, pubupdate: false, pubdelete: false, pubtruncate: false, pubviaroot: true };
    const before = await published();
    expect(before).toEqual([
      {
        pubname: 'orgtrail',
        ...inserts,
        tablename: 'audit_event_changes',
        attnames: await columnsOf('audit_event_changes'),
      },
      // A column that is added to these tables must be added to the publication, and to docs/logical-replication.md.
      { pubname: 'orgtrail', ...inserts, tablename: 'audit_events', attnames: await columnsOf('audit_events') },
      { pubname: 'orgtrail', ...inserts, tablename: 'feed_head', attnames: ['feed_id'] },
      {
        pubname: 'orgtrail_organizations',
        ...inserts,
        pubupdate: true,
        tablename: 'organizations',
        attnames: expect.arrayContaining(['id', 'name', 'state', 'last_seen_at']),
      },
    ]);

    await pool.query('alter publication orgtrail drop table audit_event_changes');
    await pool.query("alter publication orgtrail set (publish = 'insert, delete')");
    await pool.query('drop publication orgtrail_organizations');
    expect(await publish(owner.url)).toMatchObject({ code: 0, stderr: '' });
    expect(await published()).toEqual(before);
  });

  test('without the rights: exit 2, and says which', async () => {
    await using login = await createLogin(database);
    await database.pool.query(`grant usage on schema drizzle to ${login.name}`);
    await database.pool.query(`grant select on drizzle.__drizzle_migrations to ${login.name}`);
    const { code, stderr } = await publish(login.url);
    expect(stderr).toMatch(
      /this account may not make the publications: (must be owner|permission denied).*\nTry: .*owner of the tables.*grant create on database/,
    );
    expect(code).toBe(2);
  });
});

/** Without the warnings that migrations are still in progress, which a slow machine gets. */
const publish = (url: string) =>
  runInProcess(['migrate', '--publication'], { DATABASE_URL: url, ORGTRAIL_LOG_LEVEL: 'error' });

const published = async () =>
  (
    await database.pool.query(
      `select t.pubname, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, p.pubviaroot, t.tablename, t.attnames::text[]
       from pg_publication_tables t join pg_publication p using (pubname) order by 1, 7`,
    )
  ).rows;

const columnsOf = async (table: string): Promise<readonly string[]> =>
  (
    await database.pool.query<{ name: string }>(
      'select attname as name from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped order by attnum',
      [table],
    )
  ).rows.map(({ name }) => name);
