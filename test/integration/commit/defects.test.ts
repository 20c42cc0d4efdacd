import { describe, expect, test } from 'vitest';
import { readPage } from '../../../src/ingest/entries/page.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { commit, entryText, eventsOf, newSource, pageOf, takeLease } from '../../support/postgres/store-fixture.ts';
import {
  type DefectiveEntry,
  strangeEntries,
  unholdableEntries,
  unnamedEntries,
} from '../../support/sync/defective-entries.ts';

const database = databaseOfTests();

const groups: Readonly<Record<string, readonly DefectiveEntry[]>> = {
  'entries without an id or a time': unnamedEntries,
  'entries that PostgreSQL cannot hold': unholdableEntries,
  'strange entries without a defect': strangeEntries,
};

describe('invariants 2 and 4: every entry is stored, to the byte', () => {
  for (const [group, entries] of Object.entries(groups)) {
    describe(group, () => {
      for (const entry of entries) {
        test(entry.name, async () => {
          const { pool } = database;
          const source = `alone ${entry.name}`;
          const neighbours = [entryText('before'), entryText('after')] as const;
          const lease = await newSource(pool, source);
          const result = await commit(pool, lease, [neighbours[0], entry.text, neighbours[1]]);
          const defective = entry.defects === null ? 0 : 1;
          expect(result).toMatchObject({ kind: 'committed', stored: 3, duplicates: 0, changed: 0, defective });
          expect(await stored(source)).toEqual([
            expect.objectContaining({ id: 'before', raw: neighbours[0], defects: null }),
            expected(entry),
            expect.objectContaining({ id: 'after', raw: neighbours[1], defects: null }),
          ]);
          if (entry.columns !== undefined) {
            const columns = Object.keys(entry.columns).join(', ');
            const { rows } = await pool.query(`select ${columns} from audit_events where source_id = $1 and id = $2`, [
              source,
              entry.id,
            ]);
            expect(rows).toEqual([entry.columns]);
          }
        });
      }
    });
  }

  const every = Object.values(groups).flat();

  test('all of them on one page, with white space between them', async () => {
    const { pool } = database;
    const lease = await newSource(pool, 'together');
    const page = readPage(`{"result": [ ${every.map((entry) => entry.text).join(' ,\n ')} ], "success": true}`);
    const defective = every.filter((entry) => entry.defects !== null).length;
    const result = await commit(pool, lease, page);
    expect(result).toMatchObject({ kind: 'committed', stored: every.length, duplicates: 0, changed: 0, defective });
    expect(await stored('together')).toEqual(every.map(expected));
  });

  test('invariant 3: all of them again are duplicates, and none of them has changed', async () => {
    const { pool } = database;
    const before = await stored('together');
    const lease = await takeLease(pool, 'together');
    const result = await commit(pool, lease, pageOf([...every, ...every].map((entry) => entry.text)));
    expect(result).toMatchObject({
      kind: 'committed',
      stored: 0,
      duplicates: 2 * every.length,
      changed: 0,
      defective: 0,
    });
    expect(await stored('together')).toEqual(before);
  });

  test('the view of the history shows every one of them', async () => {
    const { rows } = await database.pool.query<{ id: string; payload: unknown; columns: string }>(
      "select id, payload::text as payload, h::text as columns from audit_history h where source_id = 'together' order by position",
    );
    expect(rows.map((row) => row.id)).toEqual(every.map((entry) => entry.id));
    const unheld = new Set(['nul_character', 'lone_surrogate', 'number_out_of_range', 'nested_too_deeply']);
    for (const [index, entry] of every.entries()) {
      const held = !(entry.defects ?? []).some((defect) => unheld.has(defect));
      expect(rows[index]?.payload !== null, entry.name).toBe(held);
    }
  });

  test('an entry whose bytes were no UTF-8 has a defect, and only that one', async () => {
    const { pool } = database;
    const lease = await newSource(pool, 'bytes');
    const damaged = entryText('damaged', undefined, { note: 'a\ufffdb' });
    const page = readPage(`{"success":true,"result":[${damaged},${entryText('whole')}]}`, false);
    expect(await commit(pool, lease, page)).toMatchObject({ stored: 2, defective: 1 });
    expect(await eventsOf(pool, 'bytes')).toMatchObject([
      { id: 'damaged', raw: damaged, defects: ['invalid_utf8'] },
      { id: 'whole', defects: null },
    ]);
  });

  for (const [name, id] of [
    ['plain', '"id":"long",'],
    ['without an id', ''],
  ] as const) {
    test(`an entry ${name} of 10 MB is stored to the byte`, async () => {
      const { pool } = database;
      const source = `10 MB ${name}`;
      const text = `{${id}"action":{"time":"2026-01-10T00:00:00Z"},"long":"${'é\\n'.repeat(2_500_000)}"}`;
      const result = await commit(pool, await newSource(pool, source), [text, entryText('small')]);
      expect(result).toMatchObject({ kind: 'committed', stored: 2 });
      const events = await eventsOf(pool, source);
      expect(events[0]?.raw === text, 'the exact text').toBe(true);
      expect(events[1]?.id).toBe('small');
    });
  }
});

/** What must lie in the table for an entry. */
const expected = (entry: DefectiveEntry) => ({
  id: entry.id,
  time: entry.time,
  defects: entry.defects,
  raw: entry.defects?.includes('nested_too_deeply') ? JSON.stringify(entry.text) : entry.text,
});

const stored = async (sourceId: string) =>
  (await eventsOf(database.pool, sourceId)).map(({ id, time, defects, raw }) => ({ id, time, defects, raw }));
