import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { archiveMonth } from '../../../src/archive/archive-month.ts';
import { useArchive } from '../../../src/archive/catalogue.sql.ts';
import { openObjectStore } from '../../../src/archive/store/object-store.ts';
import { dropOldMonths } from '../../../src/retention/retention.sql.ts';
import { judgedSound, worldOfEachTest } from '../../support/evidence/evidence-world.ts';
import { commit, entryText, newSource, RETENTION_MS } from '../../support/postgres/store-fixture.ts';

const world = worldOfEachTest();

test('objects of an archive are stated, and the key that salts the leaves of a month stays with its payload', async () => {
  const { pool } = world;
  const { build } = world.open();
  await build();
  await world.allowDrops('2024-01-01', '2024-01-31');
  const texts = Array.from({ length: 20 }, (_, index) => entryText(`old-${index}`, Date.UTC(2024, 0, 5) + index));
  await commit(pool, await newSource(pool, 'a'), [...texts, entryText('young')]);
  const directory = mkdtempSync(join(world.room.folder, 'archive-'));
  const target = { kind: 'file', name: `file://${directory}`, directory } as const;
  const store = openObjectStore(target, { accessKey: undefined, secretKey: undefined, environment: {} });
  await useArchive(pool, store.name);
  const archive = (month: string) => archiveMonth({ pool, store }, month);
  const waiting = await dropOldMonths(pool, RETENTION_MS, archive);
  expect(waiting.kept[0]?.reason).toBe('the evidence is at position 0, and still needs events up to 20');
  await build();
  expect((await dropOldMonths(pool, RETENTION_MS, archive)).dropped).toMatchObject([{ month: '2024-01', events: 20 }]);
  await build();
  const { rows } = await pool.query<{ kind: string; text: string }>(
    `select kind, text from evidence_journal where kind in ('archive', 'drop') order by index`,
  );
  const [object, drop] = rows.map(({ text }) => JSON.parse(text));
  const { rows: catalogue } = await pool.query(
    'select sha256, ids_sha256, raw_sha256, bytes::integer as bytes from archive_objects',
  );
  expect(rows.map(({ kind }) => kind)).toEqual(['archive', 'drop']);
  expect(object).toMatchObject({ id: 1, kind: 'events', month: '2024-01', events: 20, ...catalogue[0] });
  expect(object).toMatchObject({ first_position: 1, last_position: 20, ids_sha256: drop.ids_sha256 });
  const { rows: keys } = await pool.query('select month from evidence_month_keys order by 1');
  expect(keys).toEqual([{ month: '2024-01' }, { month: '2026-01' }]);
  await world.verified();
  await build();
  const { folder } = await world.export();
  await judgedSound(folder);
});
