import { describe, expect, test } from 'vitest';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { commitAll, entryText, newSource, pageOf, T0 } from '../../support/postgres/store-fixture.ts';
import { strangeEntries, unholdableEntries, unnamedEntries } from '../../support/sync/defective-entries.ts';

const database = databaseOfTests();

describe('audit_feed', () => {
  test('gives every entry, however defective, in plain types, its text to the byte', async () => {
    const { pool } = database;
    const entries = [...strangeEntries, ...unnamedEntries, ...unholdableEntries];
    const large = entryText('a megabyte', T0, { resource: { request: 'é😀\\"'.repeat(MEGABYTE / 8) } });
    const lease = await newSource(pool, 'strange');
    await commitAll(pool, lease, [...entries.map(({ text }) => pageOf([text])), pageOf([large])]);

    const { rows, fields } = await pool.query('select * from audit_feed where source_id = $1 order by position', [
      'strange',
    ]);
    expect(fields[0]?.name).toBe('position');
    for (const { name, dataTypeID } of fields) expect(plainTypes.get(dataTypeID), name).toBeDefined();
    expect(rows.map(({ id }) => id)).toEqual([...entries.map(({ id }) => id), 'a megabyte']);
    const { rows: stored } = await pool.query(
      `select e.raw::text as raw, nullif(e.action_time, '-infinity') as action_time, e.received_at, e.source_kind,
         array_to_string(e.defects, ',') as defects, e.action_type, e.raw_status_code, (select feed_id::text from feed_head)
       from audit_events e where source_id = 'strange' order by position`,
    );
    for (const [index, row] of stored.entries()) expect(rows[index], entries[index]?.name).toMatchObject(row);
    for (const [index, { name, defects, time, text }] of entries.entries()) {
      expect(rows[index].defects, name).toBe(defects?.join(',') ?? null);
      if (defects === null) expect(rows[index].raw, name).toBe(text);
      expect(rows[index].action_time?.toISOString() ?? '-infinity', name).toBe(time);
    }
    expect(rows.at(-1)).toMatchObject({ raw: large, organization_id: 'strange', organization_name: 'Name of strange' });
  });

  test('costs the same to follow however long the table is: one walk along the indexes on position', async () => {
    const { pool } = database;
    await pool.query('truncate audit_events');
    await pool.query("select orgtrail_create_partitions('2024-01-01', '2025-12-31')");
    const grow = async (from: number, to: number) => {
      await pool.query(
        `insert into audit_events (source_kind, source_id, organization_id, id, position, action_time, raw)
         select 'organization', 's', 's', n::text, n,
           '2024-01-01'::timestamptz + make_interval(months => n % ${MONTHS}, secs => n), '{"filler":"${'x'.repeat(100)}"}'
         from generate_series($1::integer, $2::integer) as n`,
        [from, to],
      );
      await pool.query('analyze audit_events');
    };
    await grow(1, 24_000);
    const small = await explain(12_000);
    await grow(24_001, 96_000);
    const large = await explain(48_000);
    for (const { nodes } of [small, large, await explain(95_000), await explain(0)]) {
      expect(nodes).not.toContain('Sort');
      expect(nodes).not.toContain('Incremental Sort');
      expect(nodes.filter((node) => node === 'Merge Append')).toHaveLength(1);
      expect(nodes.filter((node) => node === 'Index Scan').length).toBeGreaterThanOrEqual(MONTHS);
    }
    expect(large.events).toBe(PAGE);
    expect(large.buffers).toBeLessThan(small.buffers * 1.5);
  });
});

interface Plan {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly Plans?: readonly Plan[];
}

/** The nodes of the plan that read audit_events, with the pages of the database that it touched; the plan for any position. */
const explain = async (after: number) => {
  const client = await database.pool.connect();
  try {
    await client.query('set plan_cache_mode = force_generic_plan');
    await client.query(`prepare tail as ${tail}`);
    const { rows } = await client.query(`explain (analyze, buffers, format json) execute tail (${after})`);
    const root = rows[0]['QUERY PLAN'][0].Plan;
    return {
      nodes: nodesOf(root),
      events: root['Actual Rows'] as number,
      buffers: root['Shared Hit Blocks'] + root['Shared Read Blocks'],
    };
  } finally {
    await client.query('deallocate all; reset plan_cache_mode');
    client.release();
  }
};

const nodesOf = (plan: Plan): readonly string[] => {
  // The names and the feed, looked up for each row that is given out.
  if (/^(organizations|feed_head)$/.test(plan['Relation Name'] ?? '')) return [];
  return [plan['Node Type'], ...(plan.Plans ?? []).flatMap(nodesOf)];
};

const MONTHS = 24;
const MEGABYTE = 1_048_576;
const PAGE = 500;
const tail = `select * from audit_feed where position > $1 order by position limit ${PAGE}`;

/** By oid: bigint, integer, text, timestamptz. What every JDBC driver and tool can read. */
const plainTypes = new Map([
  [20, 'bigint'],
  [23, 'integer'],
  [25, 'text'],
  [1184, 'timestamptz'],
]);
