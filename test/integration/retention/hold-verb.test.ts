import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../support/postgres/database.ts';
import { addSources } from '../../support/postgres/store-fixture.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
  await addSources(database.pool, ['o1', 'o2']);
});
afterAll(async () => {
  await database?.close();
});

describe('orgtrail hold', () => {
  test('add, list and release: who, why and when stay', async () => {
    expect((await hold('list')).stdout).toBe('no holds\n');
    const window = ['--since', '2025-03-01', '--before', '2025-06-01T12:00:00Z'];
    const added = await hold('add', '--organization', 'o1', ...window, '--reason', 'case 17', '--by', 'J. Doe');
    expect(added).toMatchObject({ code: 0, stderr: '' });
    expect(added.stdout).toBe(
      'hold 1 is in force: events of Name of o1 (o1), since 2025-03-01T00:00:00.000Z, before 2025-06-01T12:00:00.000Z\n',
    );
    const everything = await hold('add', '--all-organizations', '--reason', 'notice', '--json');
    expect(JSON.parse(everything.stdout)).toMatchObject({
      id: 2,
      organizationId: null,
      since: null,
      before: null,
      dropped: [],
    });
    expect(await list()).toMatchObject([
      {
        id: 1,
        organizationId: 'o1',
        reason: 'case 17',
        createdBy: 'J. Doe',
        createdAs: expect.any(String),
        releasedAt: null,
      },
      { id: 2 },
    ]);
    expect((await hold('release', '1', '--by', 'R. Roe')).stdout).toMatch(/^hold 1 is released: the retention applies/);
    expect(await list()).toMatchObject([
      { id: 1, createdBy: 'J. Doe', releasedBy: 'R. Roe', releasedAt: expect.any(String) },
      {},
    ]);
    const { stdout } = await hold('list');
    expect(stdout).toMatch(/^ID +STATE +ORGANIZATION/);
    expect(stdout).toMatch(
      /\n1 +released \S+ by R. Roe +o1 \(Name of o1\) .*case 17\n2 +in force +every organization /,
    );
  });

  test('an account is named by its id or its name', async () => {
    await database.pool.query("insert into accounts (id, name) values ('a1', 'Shop')");
    for (const account of ['a1', 'SHOP']) {
      const added = await hold('add', '--account', account, '--reason', 'case 18');
      expect(added).toMatchObject({ code: 0, stdout: expect.stringContaining('events of the account Shop (a1)') });
    }
    expect((await list()).at(-1)).toMatchObject({ organizationId: null, accountId: 'a1', accountName: 'Shop' });
    expect((await hold('list')).stdout).toMatch(/ account a1 \(Shop\) .*case 18\n/);
  });

  test('says what has been dropped before', async () => {
    await database.pool.query(
      `insert into retention_drops (partition, month, events, changes, first_position, last_position, bytes, retention)
       values ('audit_events_2024_02', '2024-02-01', 1, 0, 1, 1, 1, '1 year')`,
    );
    const { stdout } = await hold('add', '--organization', 'o2', '--since', '2024-01-15', '--reason', 'too late');
    expect(stdout).toContain('already dropped, and not held: 2024-02');
    const later = await hold('add', '--organization', 'o2', '--since', '2024-03-01', '--reason', 'in time');
    expect(later.stdout).not.toContain('dropped');
  });

  test.each([
    [['add', '--reason', 'x'], 'specify one of --organization, --account and --all-organizations'],
    [['add', '--organization', 'o1', '--all-organizations', '--reason', 'x'], 'specify'],
    [['add', '--organization', 'o1', '--account', 'a1', '--reason', 'x'], 'specify one of'],
    [['add', '--organization', 'unknown', '--reason', 'x'], 'unknown organization "unknown"'],
    [['add', '--account', 'unknown', '--reason', 'x'], 'unknown account "unknown"'],
    [['add', '--organization', 'o1', '--reason', ' '], '--reason must not be empty'],
    [
      ['add', '--organization', 'o1', '--since', 'soon', '--reason', 'x'],
      '--since: "soon" is not a time. Use 24h, 7d, now',
    ],
    [
      ['add', '--organization', 'o1', '--since', '2025-02-01', '--before', '2025-01-01', '--reason', 'x'],
      '--before must be later',
    ],
    [['add', '--organization', 'o1'], "required option '--reason <text>' not specified"],
    [['release', '99'], 'no hold 99 is in force'],
    [['release', 'x'], 'ID must be the number of a hold, not "x"'],
  ])('%j: exit code 2, and why', async (args, reason) => {
    const { code, stdout, stderr } = await hold(...args);
    expect(stderr).toContain(reason);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });
});

const hold = (...args: string[]) => runInProcess(['hold', ...args], { DATABASE_URL: database.url });

const list = async () => JSON.parse((await hold('list', '--json')).stdout);
