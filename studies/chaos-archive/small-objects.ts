// As `orgtrail archive run --drop`, but with a few rows to an object, so that two objects of a month are at work at once.

import { loadConfig } from '../../src/app/config/config.ts';
import { archiveMonth } from '../../src/archive/archive-month.ts';
import { useArchive } from '../../src/archive/catalogue.sql.ts';
import { dropOldMonths } from '../../src/archive/retention.sql.ts';
import { openObjectStore } from '../../src/archive/store.ts';
import { createPool } from '../../src/postgres/pool.ts';

const limits = { maxRows: 15, maxTextBytes: 1_000_000 };
const say = (line: string) => process.stdout.write(`${line}\n`);

const { archive, retentionMs } = loadConfig(process.env, { needsCredential: false, interactive: false });
if (archive === undefined) throw new Error('there is no archive');
const pool = createPool(process.env['DATABASE_URL'] ?? '', 4, () => {});
const store = openObjectStore(archive.target, archive.s3);
await useArchive(pool, store.name);
const { dropped, kept } = await dropOldMonths(pool, retentionMs, async (month) => {
  const { written, proven } = await archiveMonth({ pool, store, limits }, month);
  say(`${month}: ${written} objects written, ${proven} read back`);
});
say(
  `dropped ${dropped.map(({ month }) => month).join(', ')}; kept ${kept.map(({ month, reason }) => `${month}: ${reason}`).join(', ')}`,
);
await store.close();
await pool.end();
