import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compareColumns } from '../../../src/evidence/stored/compare-columns.sql.ts';
import {
  anyEntries,
  type ExpectedEvent,
  expectedEvent,
  expectedState,
  isNotJsonb,
} from '../../support/hostile/entries.ts';
import { anyEnvelope, pageBody } from '../../support/hostile/page-body.ts';
import { requireEqual, requireProperty, SEED } from '../../support/hostile/property.ts';
import { openHostileWorld } from '../../support/hostile/world.ts';
import { ofAllTests } from '../../support/process/of-tests.ts';
import { words } from '../../support/process/words.ts';

const PAGES_PER_SOURCE = 5;
const world = ofAllTests(openHostileWorld);

/** With what is repeated, still so few that the dedupe looks at all times (docs/decisions/02). */
const anyPage = fc.record({ entries: anyEntries({ minLength: 110, maxLength: 160 }), envelope: anyEnvelope });
const anySource = fc
  .array(anyPage, { minLength: PAGES_PER_SOURCE, maxLength: PAGES_PER_SOURCE, size: 'max' })
  .map((pages) => pages.map(({ entries, envelope }, page) => ({ entries: entries(page), envelope })));

describe(`hostile entries (seed ${SEED})`, () => {
  test('invariants 2, 3, 4 and 5: whatever the entries are, each is stored to the byte, once, and no page fails', async () => {
    const property = fc.asyncProperty(anySource, async (pages) => {
      const id = `source ${totals.sources}`;
      await world.addSources([id]);
      const texts = pages.map(({ entries }) => entries.map(({ json }) => json.text));
      world.serve(
        id,
        pages.map(({ envelope }, page) => pageBody(texts[page] ?? [], `page-${page + 1}`, envelope)),
      );
      expect(await world.sync(id)).toMatchObject({ kind: 'idle' });
      // Nothing behind the last cursor is doubted, and this API answers every question with all of its pages.
      expect(world.requests(id)).toBeLessThanOrEqual(3 * (PAGES_PER_SOURCE + 1));

      const events = pages.flatMap(({ entries, envelope }) =>
        entries.map((entry) => expectedEvent(entry, envelope.damaged)),
      );
      const { stored, changes } = expectedState(events);
      requireEqual(
        'event',
        await storedEvents(id),
        stored.map(({ content: _content, ...event }) => ({ ...event, defects: [...event.defects].sort() })),
      );
      requireEqual('change', await storedChanges(id), changes);
      count(events.length, stored, changes.length);
    });
    await requireProperty(property, Math.ceil(WANTED / (PAGES_PER_SOURCE * ENTRIES_PER_PAGE)));
    expect(totals.entries).toBeGreaterThanOrEqual(WANTED);
  }, 3_600_000);

  test('among them was every defect that orgtrail finds itself, and many ids were those of entries of other sources', async () => {
    expect([...defectsSeen].sort()).toEqual(
      words(`
      id_missing id_too_long id_unusable invalid_utf8 lone_surrogate nested_too_deeply not_an_object nul_character
      number_out_of_range time_missing time_unreadable`),
    );
    const { rows } = await world.database.pool.query(
      `select count(*)::integer as ids from (
         select id from audit_events group by id having count(distinct source_id) > $1) shared`,
      [Math.ceil(totals.sources / 2)],
    );
    expect(rows[0].ids).toBeGreaterThan(20);
  });

  test('invariant 6: the positions have no hole', async () => {
    const { rows } = await world.database.pool.query(
      `select count(*)::integer as events, count(distinct position)::integer as positions, min(position)::integer as first,
         max(position)::integer as last, (select position::integer from feed_head) as head from audit_events`,
    );
    const all = totals.stored;
    expect(rows).toEqual([{ events: all, positions: all, first: 1, last: all, head: all }]);
  });

  test('invariant 15: the evidence, when it verifies itself, finds every column to be what the entry says', async () => {
    expect(await compareColumns(world.database.pool, 0, totals.stored)).toEqual([]);
  });

  test('no view fails over any of them, and the history has the payload of all that jsonb can hold', async () => {
    const { rows } = await world.database.pool.query(
      `select count(h::text)::integer as rows, count(payload)::integer as payloads, sum(length(payload::text)) > 0 as read,
         count(payload #>> '{action,time}') > 0 as times, count(response) >= 0 as responses from audit_history h`,
    );
    expect(rows).toEqual([
      { rows: totals.stored, payloads: totals.payloads, read: true, times: true, responses: true },
    ]);
    for (const view of ['coverage_gaps', 'sync_status']) {
      await world.database.pool.query(`select count(v::text) from ${view} v`);
    }
  });
});

/** How many entries at least; more by `HOSTILE_ENTRIES=1000000 npx vitest run hostile`. */
const WANTED = Number(process.env['HOSTILE_ENTRIES'] ?? 12_000);

/** With what is repeated; the test checks that it is not fewer. */
const ENTRIES_PER_PAGE = 140;

const totals = { sources: 0, entries: 0, stored: 0, changes: 0, payloads: 0 };
const defectsSeen = new Set<string>();

const count = (entries: number, stored: readonly ExpectedEvent[], changes: number): void => {
  totals.sources += 1;
  totals.entries += entries;
  totals.stored += stored.length;
  totals.changes += changes;
  totals.payloads += stored.filter((event) => !isNotJsonb(event)).length;
  for (const event of stored) for (const defect of event.defects) defectsSeen.add(defect);
};

const storedEvents = async (sourceId: string) => {
  const { rows } = await world.database.pool.query<{
    id: string;
    timeMs: number;
    raw: string;
    defects: string[] | null;
    email: string | null;
    status: number | null;
  }>(
    `select id, floor(extract(epoch from action_time) * 1000)::float8 as "timeMs", raw::text as raw, defects,
       actor_email as email, raw_status_code as status
     from audit_events where source_id = $1 order by position`,
    [sourceId],
  );
  return rows.map((row) => ({ ...row, defects: (row.defects ?? []).sort() }));
};

const storedChanges = async (sourceId: string): Promise<string[]> => {
  const { rows } = await world.database.pool.query<{ change: string }>(
    "select event_id || ' ' || raw::text as change from audit_event_changes where source_id = $1",
    [sourceId],
  );
  return rows.map((row) => row.change).sort();
};
