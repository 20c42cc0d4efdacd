import { describe, expect, test } from 'vitest';
import { readPage } from '../../../src/ingest/entries/page.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import { commit, entryText, eventsOf, newSource, pageOf, takeLease } from '../../support/postgres/store-fixture.ts';
import {
  type DefectiveEntry,
  strangeEntries,
  unholdableEntries,
  unnamedEntries,
} from '../../support/sync/defective-entries.ts';

const pool = poolOfTests();

const groups: Readonly<Record<string, readonly DefectiveEntry[]>> = {
  'entries without an id or a time': unnamedEntries,
  'entries that PostgreSQL cannot hold': unholdableEntries,
  'strange entries without a defect': strangeEntries,
};

describe('invariants 2 and 4: every entry is stored, to the byte', () => {
  describe.each(Object.entries(groups))('%s', (_, entries) => {
    test.each(entries)('$name', async (entry) => {
      const source = `alone ${entry.name}`;
      const [before, after] = [entryText('before'), entryText('after')];
      const result = await commit(pool, await newSource(pool, source), [before, entry.text, after]);
      const defective = entry.defects === null ? 0 : 1;
      expect(result).toMatchObject({ kind: 'committed', stored: 3, duplicates: 0, changed: 0, defective });
      expect(await stored(source)).toEqual([
        expect.objectContaining({ id: 'before', raw: before, defects: null }),
        expected(entry),
        expect.objectContaining({ id: 'after', raw: after, defects: null }),
      ]);
      if (entry.columns === undefined) return;
      const columns = Object.keys(entry.columns).join(', ');
      const statement = `select ${columns} from audit_events where source_id = $1 and id = $2`;
      expect((await pool.query(statement, [source, entry.id])).rows).toEqual([entry.columns]);
    });
  });

  const every = Object.values(groups).flat();

  test('all of them on one page, with white space between them (invariant 4)', async () => {
    const lease = await newSource(pool, 'together');
    const page = readPage(`{"result": [ ${every.map((entry) => entry.text).join(' ,\n ')} ], "success": true}`);
    const defective = every.filter((entry) => entry.defects !== null).length;
    const result = await commit(pool, lease, page);
    expect(result).toMatchObject({ kind: 'committed', stored: every.length, duplicates: 0, changed: 0, defective });
    expect(await stored('together')).toEqual(every.map(expected));
  });

  test('invariant 3: all of them again are duplicates, and none of them has changed', async () => {
    const before = await stored('together');
    const lease = await takeLease(pool, 'together');
    const result = await commit(pool, lease, pageOf([...every, ...every].map((entry) => entry.text)));
    const none = { stored: 0, duplicates: 2 * every.length, changed: 0, defective: 0 };
    expect(result).toMatchObject({ kind: 'committed', ...none });
    expect(await stored('together')).toEqual(before);
  });

  test('the view of the history shows every one of them', async () => {
    const { rows } = await pool.query<{ id: string; payload: unknown; columns: string }>(
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
    const lease = await newSource(pool, 'bytes');
    const damaged = entryText('damaged', undefined, { note: 'a\ufffdb' });
    const page = readPage(`{"success":true,"result":[${damaged},${entryText('whole')}]}`, false);
    expect(await commit(pool, lease, page)).toMatchObject({ stored: 2, defective: 1 });
    expect(await eventsOf(pool, 'bytes')).toMatchObject([
      { id: 'damaged', raw: damaged, defects: ['invalid_utf8'] },
      { id: 'whole', defects: null },
    ]);
  });

  test.each(['"id":"long",', ''])('an entry of 10 MB that begins with {%s is stored to the byte', async (id) => {
    const source = `10 MB ${id}`;
    const text = `{${id}"action":{"time":"2026-01-10T00:00:00Z"},"long":"${'é\\n'.repeat(2_500_000)}"}`;
    const result = await commit(pool, await newSource(pool, source), [text, entryText('small')]);
    expect(result).toMatchObject({ kind: 'committed', stored: 2 });
    const events = await eventsOf(pool, source);
    expect(events[0]?.raw === text, 'the exact text').toBe(true);
    expect(events[1]?.id).toBe('small');
  });
});

/** What must lie in the table for an entry. */
const expected = (entry: DefectiveEntry) => ({
  id: entry.id,
  time: entry.time,
  defects: entry.defects,
  raw: entry.defects?.includes('nested_too_deeply') ? JSON.stringify(entry.text) : entry.text,
});

const stored = async (sourceId: string) =>
  (await eventsOf(pool, sourceId)).map(({ id, time, defects, raw }) => ({ id, time, defects, raw }));
