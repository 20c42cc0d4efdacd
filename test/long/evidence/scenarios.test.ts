import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Pool } from 'pg';
import { expect, test } from 'vitest';
import { openAuditedWorld } from '../../support/evidence/audited-world.ts';
import { openBuilder } from '../../support/evidence/builder-world.ts';
import { BundleRoom, exportTo, type Judgements, judge } from '../../support/evidence/bundles/exported-bundle.ts';
import { createTestDatabase } from '../../support/postgres/database.ts';
import { commit, entryText, newSource, T0 } from '../../support/postgres/store-fixture.ts';
import { ofAllTests } from '../../support/process/of-tests.ts';

/*
 * What a thief, an owner of the schema or the operator may do, each on a copy of a database or of a bundle: the two verifiers come to the
 * same result.
 */

const room = ofAllTests(() => new BundleRoom());
const world = ofAllTests(() => openAuditedWorld(20_261_127));

test('nothing: it holds, also against all that was kept', async () => {
  const all = [...world.kept.early, ...world.kept.late];
  const { node, python } = await exported(async () => {}, { anchors: all });
  bothHold({ node, python });
  expect(node.claims).toMatch(
    /[1-9]\d* are as they were hashed, [1-9]\d* were dropped as stated, and [1-9]\d* were dropped before/,
  );
  expect(python.claims).toMatch(
    /[1-9][\d,]* with unchanged content, [1-9]\d* dropped as declared, [1-9]\d* dropped before/,
  );
  bothHold(await exported(async () => {}, { from: 'early', anchors: world.kept.early }));
  const { rows } = await world.late.pool.query(
    `select count(*) > 0 as "hasDefects" from audit_events where defects is not null`,
  );
  expect(rows).toEqual([{ hasDefects: true }]);
});

const changes: readonly (readonly [what: string, sql: string])[] = [
  ['payload changed', `update audit_events set raw = '{"changed": true}' where position = $1`],
  [
    'received_at a day back',
    `update audit_events set received_at = received_at - interval '1 day' where position = $1`,
  ],
  ['another id', `update audit_events set id = id || 'x' where position = $1`],
  ['another source', `update audit_events set source_id = 'f0000000000000000000000000000000' where position = $1`],
  ['row deleted', 'delete from audit_events where position = $1'],
];
test.each(changes)('%s: a fault that names the position', async (_, sql) => {
  let position = 0;
  const found = await exported(async (pool) => {
    position = await somePosition(pool);
    expect((await pool.query(sql, [position])).rowCount).toBe(1);
  });
  bothFind(found, names(position), names(position));
});

test('two positions swapped: a fault that names both', async () => {
  let position = 0;
  const found = await exported(async (pool) => {
    position = await somePosition(pool);
    const move = async (from: number, to: number) =>
      await pool.query('update audit_events set position = $2 where position = $1', [from, to]);
    await move(position, 1e9);
    await move(position + 1, position);
    await move(1e9, position + 1);
  });
  for (const one of [position, position + 1]) bothFind(found, names(one), names(one));
});

test('row deleted before it was hashed: the builder signs nothing more, and what it signed holds', async () => {
  const found = await exported(async (pool) => {
    await commit(pool, await newSource(pool, 'more'), [entryText('more-1', T0), entryText('more-2', T0)]);
    await pool.query('delete from audit_events where position = (select position - 1 from feed_head)');
    expect(await build(pool)).toMatchObject({ kind: 'stopped' });
  });
  bothHold(found);
});

test('rebuilt with the key after a change: holds, until it is held against a checkpoint that was kept', async () => {
  const change = async (pool: Pool) => {
    await pool.query(`update audit_events set raw = '{"changed": true}' where position = $1`, [
      await somePosition(pool),
    ]);
    expect(await rebuild(pool)).toMatchObject({ kind: 'done' });
  };
  bothHold(await exported(change));
  const found = await exported(change, { anchors: world.kept.late });
  bothFind(found, /anchor \d has another tree of \d+ leaves .*: it was rewritten/, 'history was rewritten');
});

test('rebuilt with the key after a deletion: the builder refuses; with an invented drop, a kept checkpoint shows it', async () => {
  const remove = async (pool: Pool) => {
    // Of a drop before there was a log, the first and the last position explain all holes between them.
    const { rows } = await pool.query<{ position: number }>('select position::float8 - 5 as position from feed_head');
    await pool.query('delete from audit_events where position = $1', [rows[0]?.position]);
    return rows[0]?.position;
  };
  await exported(async (pool) => {
    await remove(pool);
    expect(await rebuild(pool)).toMatchObject({ kind: 'stopped' });
    // So that there is something to export.
    await pool.query(`insert into retention_drops (partition, month, events, changes, first_position, last_position, bytes, retention)
      values ('x', '2020-01-01', 1, 0, 1, 1000000000, 0, '1 day')`);
    await build(pool);
  }).then(bothHold);
  const invented = await exported(
    async (pool) => {
      const position = await remove(pool);
      await pool.query(
        `insert into retention_drops (partition, month, events, changes, first_position, last_position, bytes, retention)
         values ('x', '2020-01-01', 1, 0, $1, $1, 0, '1 day')`,
        [position],
      );
      expect(await rebuild(pool)).toMatchObject({ kind: 'done' });
    },
    { anchors: world.kept.late },
  );
  bothFind(invented, 'it was rewritten', 'history was rewritten');
});

test('restored to an earlier state: events are missing at the end', async () => {
  const found = await exported(async () => {}, { from: 'early', anchors: world.kept.late });
  bothFind(found, 'some are missing at the end', 'leaves are missing at the end');
});

test('restored and grown past the kept checkpoint: it was rewritten', async () => {
  const found = await exported(
    async (pool) => {
      const lease = await newSource(pool, 'other');
      await commit(
        pool,
        lease,
        Array.from({ length: 900 }, (_, index) => entryText(`other-${index}`, T0)),
      );
      await build(pool);
    },
    { from: 'early', anchors: world.kept.late },
  );
  bothFind(found, 'it was rewritten', 'history was rewritten');
});

const ofMonth = `to_char(action_time at time zone 'UTC', 'YYYY-MM') = $1`;

test('a month deleted without a record: a fault', async () => {
  const found = await exported((pool) =>
    pool.query(`delete from audit_events where isfinite(action_time) and ${ofMonth}`, [world.months.present]),
  );
  bothFind(found, 'no drop says why', 'no drop declares that');
});

test('a month dropped and declared, and one row more: a fault that names it', async () => {
  let position = 0;
  const found = await exported(async (pool) => {
    position = await somePosition(pool);
    await pool.query('delete from audit_events where position = $1', [position]);
  });
  bothFind(found, names(position), names(position));
});

test('a statement changed, or one put among them, in the database: a fault', async () => {
  const changed = await exported((pool) =>
    pool.query(`update evidence_journal set text = replace(text, '"retention":', '"retention": ') where kind = 'drop'`),
  );
  bothFind(changed, /statement \d+ is not the one that is signed/, /statement \d+ is not the one that was signed/);
  const taken = await exported((pool) => pool.query(`delete from evidence_journal where kind = 'hold'`));
  bothFind(taken, /statement \d+ is not the one that is signed/, /statement \d+ is not the one that was signed/);
});

test('a drop that is not signed, put behind the statements of a bundle: a fault', async () => {
  const folder = room.next();
  await exportTo(world.late.pool, world.signer, folder);
  rmSync(join(folder, 'README.txt'));
  bothHold(await judge(folder));
  const path = join(folder, 'journal/entries.ndjson');
  const drop = readFileSync(path, 'utf8')
    .split('\n')
    .find((line) => line.startsWith('{"type":"drop"'));
  appendFileSync(path, `${drop}\n`);
  bothFind(await judge(folder), /statements, and \d+ are signed/, 'statements that are not signed');
});

test('an event taken from a bundle, and one put back: faults', async () => {
  const folder = room.next();
  await exportTo(world.late.pool, world.signer, folder);
  rmSync(join(folder, 'README.txt'));
  const path = join(folder, 'events/payload/000000.oev');
  const bytes = readFileSync(path);
  const leafEnd = 2 + bytes.readUInt16BE();
  const first = bytes.subarray(0, leafEnd + 4 + bytes.readUInt32BE(leafEnd));
  const position = Number(first.readBigUInt64BE(2 + 34));
  writeFileSync(path, bytes.subarray(first.length));
  bothFind(await judge(folder), names(position), names(position));
  writeFileSync(path, Buffer.concat([first, bytes]));
  bothFind(await judge(folder), 'does not belong there', `has position ${position} after position ${position}`);
});

const build = async (pool: Pool) => await openBuilder(pool, world.signer).build();

interface Scenario {
  readonly from?: 'early' | 'late';
  readonly anchors?: readonly string[];
}

/** Does something to a copy of the database, exports it, and asks both verifiers. */
const exported = async (
  act: (pool: Pool) => Promise<unknown>,
  { from = 'late', anchors = [] }: Scenario = {},
): Promise<Judgements> => {
  const database = await createTestDatabase({ copyOf: world[from] });
  try {
    await act(database.pool);
    const folder = room.next();
    await exportTo(database.pool, world.signer, folder, { despiteFaults: true });
    return await judge(folder, anchors);
  } finally {
    await database.close();
  }
};

const bothHold = ({ node, python }: Judgements): void => {
  expect([node.faults, python.faults]).toEqual([[], []]);
};

/** Both find a fault, and each says this. */
const bothFind = ({ node, python }: Judgements, inNode: string | RegExp, inPython: string | RegExp): void => {
  expect([node.holds, python.holds]).toEqual([false, false]);
  expect(node.faults.join('\n')).toMatch(inNode);
  expect(python.faults.join('\n')).toMatch(inPython);
};

/** A present event in the middle. */
const somePosition = async (pool: Pool): Promise<number> => {
  const { rows } = await pool.query<{ position: number }>(
    `select position::float8 as position from audit_events order by position offset (select count(*) / 2 from audit_events) limit 1`,
  );
  return rows[0]?.position ?? 0;
};

const names = (position: number) => new RegExp(`(?:event|Position) ${position}\\b`);

/** Makes the tree once more, with the key: another history, by an owner of the schema. */
const rebuild = async (pool: Pool) => {
  await pool.query('update retention_drops set positions = null');
  await pool.query(
    'truncate evidence_logs, evidence_tiles, evidence_journal, evidence_sources, evidence_checkpoints, evidence_month_keys',
  );
  return await build(pool);
};
