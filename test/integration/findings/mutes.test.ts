import { beforeAll, expect, test } from 'vitest';
import { listFindings } from '../../../src/findings/list-findings.sql.ts';
import { muteDetection, readMutes, unmuteDetection } from '../../../src/findings/mutes.sql.ts';
import { createPool } from '../../../src/postgres/pool.ts';
import { askedFindings } from '../../support/findings/asked-findings.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import { commitAll, entryText, newSource } from '../../support/postgres/store-fixture.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';

/** Two tokens changed, each by another actor. */
const database = databaseOfTests();
const pool = poolOfTests(database);
/** With the rights of the account of a daemon. */
const daemon = forAllTests(() => createPool(database.daemonUrl, 2, () => {}));
beforeAll(async () => {
  const nowMs = Date.now();
  const token = (id: string, actor: string) =>
    entryText(id, nowMs - 60_000, {
      action: { type: 'create', result: 'success', description: 'Create API Token', time: new Date(nowMs - 60_000) },
      resource: { type: 'api_token', request: {} },
      actor: { id: actor, email: `${actor}@example.com` },
    });
  const lease = await newSource(pool, 'org');
  await commitAll(pool, lease, [[token('a', 'mira'), token('b', 'noor')]]);
});

test('what is muted leaves the list and comes back; the view has it all the time', async () => {
  const id = await muteDetection(daemon, { ...wanted, actor: 'mira@example.com' });
  expect(await ids()).toEqual(['b']);
  expect(await ids(true)).toEqual(['a', 'b']);
  expect((await list()).counts).toEqual([{ detection: 'api_token_changed', severity: 'medium', found: 2, muted: 1 }]);
  expect(await countOf('detections')).toBe(2);
  expect(await muteDetection(daemon, { ...wanted, actor: 'mira@example.com' }), 'the same again').toBeUndefined();
  const whole = await muteDetection(daemon, { ...wanted, forDays: undefined });
  expect(await ids()).toEqual([]);
  expect(await readMutes(daemon)).toMatchObject([
    { id: whole, actor: null, mutedUntil: null, createdBy: 'jane' },
    { id, actor: 'mira@example.com', reason: 'rotation' },
  ]);

  expect(await unmuteDetection(daemon, whole ?? 0, 'noor')).toBe(true);
  expect(await unmuteDetection(daemon, whole ?? 0, 'noor'), 'it is over').toBe(false);
  expect(await ids()).toEqual(['b']);
  await pool.query("update detection_mutes set muted_until = now() - interval '1 second' where id = $1", [id]);
  expect(await ids()).toEqual(['a', 'b']);
  expect(await readMutes(daemon)).toEqual([]);
  expect(await countOf('detection_mutes'), 'each stays').toBe(2);
  const { rows } = await pool.query('select ended_by, ended_as from detection_mutes where id = $1', [whole]);
  expect(rows[0].ended_by).toBe('noor');
  expect(rows[0].ended_as, 'the account that did it').not.toBeNull();
});

test('the database refuses what may not be muted, mutes without a reason or a person, and changes by hand', async () => {
  for (const wrong of [
    { detection: 'collector_token' },
    { detection: "x'" },
    { reason: ' ' },
    { by: '' },
    { forDays: -1 },
  ]) {
    await expect(muteDetection(daemon, { ...wanted, ...wrong }), JSON.stringify(wrong)).rejects.toThrow();
  }
  for (const sql of [
    "insert into detection_mutes (detection, reason, created_by) values ('x', 'y', 'z')",
    'update detection_mutes set ended_at = now()',
    'delete from detection_mutes',
  ]) {
    await expect(daemon.query(sql), sql).rejects.toThrow(/permission denied/);
  }
  await pool.query(
    "insert into detection_mutes (detection, reason, created_by) select 'x' || n, 'y', 'z' from generate_series(1, 1000) n",
  );
  await expect(muteDetection(daemon, wanted)).rejects.toThrow(/a thousand mutes/);
});

const list = (showMuted = false) => listFindings(daemon, askedFindings(Date.now() - 3_600_000, { showMuted }));
const ids = async (showMuted = false) => (await list(showMuted)).findings.map(({ id }) => id).sort();

const wanted = { detection: 'api_token_changed', actor: undefined, reason: 'rotation', forDays: 7, by: 'jane' };

const countOf = async (table: string) => (await pool.query(`select count(*)::integer as n from ${table}`)).rows[0].n;
