import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addHold } from '../../src/retention/holds.sql.ts';
import { type ConsoleFixture, expectNoFaults, openConsole } from '../support/console/console-fixture.ts';
import { expectInert, expectLooks, hostileText, schemes } from '../support/console/page-looks.ts';

let console: ConsoleFixture;
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'orgtrail-test-archive-page-'));
  console = await openConsole({
    simulator: { entries: 20 },
    env: { ORGTRAIL_ARCHIVE: `file://${directory}`, ORGTRAIL_RETENTION: '3650d' },
  });
  const { pool } = console.database;
  await pool.query(
    `insert into archive_objects (archive, key, kind, month, feed_id, first_position, last_position, events, bytes, sha256, ids_sha256, raw_sha256,
       columns_sha256, organizations, fault, verified_at, dropped_at)
     select $1, 'v1/' || n || '.parquet', case n when 3 then 'changes' else 'events' end, '2024-01-01', gen_random_uuid(), n * 1000, n * 1000 + 999, 1000,
       123456, repeat('a', 64), repeat('a', 64), repeat('a', 64), repeat('a', 64), '[]', case n when 2 then $2 end,
       '2025-02-01 10:00:00+00', '2025-02-02 11:00:00+00' from generate_series(1, 3) n`,
    [`file://${directory}`, `${hostileText} ${'not the bytes of its SHA-256 '.repeat(20)}`],
  );
  await pool.query(
    "insert into retention_drops (partition, month, events, changes, bytes, retention) values ('audit_events_2023_12', '2023-12-01', 77, 0, 1, '1 year')",
  );
  await addHold(pool, {
    organizationId: undefined,
    sinceMs: Date.UTC(2023, 11, 5),
    beforeMs: Date.UTC(2023, 11, 6),
    reason: hostileText,
    by: undefined,
  });
});
afterAll(async () => {
  await console?.[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

test('each month has its objects, what they hold, when they were read back and dropped; faults stand whole', async () => {
  const { page, faults } = await console.newPage({ javaScriptEnabled: false });
  await page.goto(`${console.url}/holds`);
  await page.getByRole('navigation', { name: 'Operation' }).getByRole('link', { name: 'Archive' }).click();
  await page.getByRole('heading', { name: 'Archive in use' }).waitFor();
  await page.getByText('No month is dropped by any process before it is there.').waitFor();
  const rows = await page.getByRole('region', { name: 'Table of months' }).locator('tbody tr').allTextContents();
  expect(rows).toHaveLength(2);
  expect(rows[0]).toMatch(
    /2024-01\s*in the archive alone\s*3\s*1 with a fault\s*2,000\s*1,000 later contents\s*370,368\s*2025-02-01 10:00:00\s*2025-02-02 11:00:00\s*none/,
  );
  expect(rows[1]).toMatch(/2023-12\s*dropped without an archive\s*0\s*0\s*0\s*never[\s\S]*77 events\s*hold 1: /);
  await page.getByText('Months leave the database 3650d after they ended').waitFor();
  await page.getByText('No month is old enough now.').waitFor();
  await page.getByRole('link', { name: '1 with a fault' }).click();
  await page.waitForURL(`${console.url}/archive#faults`);
  const [fault] = await page.getByRole('region', { name: 'Table of faults' }).locator('tbody tr').allTextContents();
  expect(fault).toContain('not the bytes of its SHA-256 '.repeat(20).trim());
  expectNoFaults(faults);
});

test('a hostile fault and a hostile reason are inert', () => expectInert(console, ['/archive']));

test.each(schemes)('nothing that axe finds, nothing wider than the screen: %s', (scheme) =>
  expectLooks(console, scheme, ['/archive']),
);
