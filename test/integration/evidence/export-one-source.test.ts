import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { newSigner, openBuilder } from '../../support/evidence/builder-world.ts';
import { BundleRoom, exportTo, judge, unnamedFiles } from '../../support/evidence/bundles/exported-bundle.ts';
import { stateOnce } from '../../support/evidence/stated-coverage.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres/database.ts';
import { addSources, commit, entryText, seconds, T0, takeLease } from '../../support/postgres/store-fixture.ts';

let database: TestDatabase;
let room: BundleRoom;
const signer = newSigner();
beforeEach(async () => {
  database = await createTestDatabase();
  room = new BundleRoom();
});
afterEach(async () => {
  room?.[Symbol.dispose]();
  await database?.close();
});

const a = { kind: 'organization', id: 'org-a' } as const;

const read = async (source: string, name: string, count: number, fromMs = T0): Promise<void> => {
  const texts = Array.from({ length: count }, (_, index) => entryText(`${name}-${index}`, fromMs + index * 1_000));
  await commit(database.pool, await takeLease(database.pool, source), texts, { claims: [seconds(0, 1)] });
};
const build = async (): Promise<void> => {
  await openBuilder(database.pool, signer, { coverage: stateOnce }).build();
};

/** Two sources in several tiles, changed contents, holds, a month that was dropped, coverage of both; then some more events. */
const fill = async (): Promise<void> => {
  const { pool } = database;
  await pool.query("select orgtrail_create_partitions('2025-01-01', '2026-02-01')");
  await pool.query('update discovery set server_time = clock_timestamp()');
  await addSources(pool, ['org-a', 'org-b', 'org-quiet']);
  await read('org-a', 'early-a', 5, Date.UTC(2025, 0, 5));
  await read('org-b', 'early-b', 5, Date.UTC(2025, 0, 6));
  await read('org-b', 'event-b', 900);
  await read('org-a', 'event-a', 30);
  for (const source of ['org-a', 'org-b']) {
    const name = `event-${source.slice(-1)}-1`;
    await commit(pool, await takeLease(pool, source), [entryText(name, T0 + 1_000, { later: `of ${source}` })]);
  }
  await pool.query(
    `insert into holds (reason, created_by, organization_id) values ('case of a', 'J. Doe', 'org-a'), ('case of b', 'J. Doe', 'org-b')`,
  );
  await build();
  await pool.query('update holds set released_at = clock_timestamp(), released_as = session_user');
  const { rows } = await pool.query(`select orgtrail_drop_month('2025-01-01', '30 days') as obstacle`);
  expect(rows).toEqual([{ obstacle: null }]);
  await build();
  await read('org-a', 'after-a', 3);
  await build();
};

const textsOf = (folder: string): string =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== 'verify.py')
    .map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'latin1'))
    .join('\n');

test.each([false, true])(
  'has the events of one source, and proves that these are all (packed: %s)',
  async (isPacked) => {
    await fill();
    const folder = room.next();
    const exported = await exportTo(database.pool, signer, folder, { source: a, isPacked });
    expect(exported).toMatchObject({
      events: 33,
      part: { leaves: 38, completeTo: 940 },
      logs: { events: { size: 943 } },
    });
    const { node, python } = await judge(folder);
    expect([node.faults, python.faults]).toEqual([[], []]);
    expect(node.claims).toContain('these are all events of organization org-a up to position 940: 35');
    expect(node.claims).toContain('of 38 events of organization org-a 33 are as they were hashed, and 5 were dropped');
    expect(python.claims).toContain('These are all events of organization org-a up to position 940: 35');
    const readme = readFileSync(join(folder, 'README.txt'), 'utf8');
    expect(readme).toContain('A BUNDLE OF ONE SOURCE: organization "org-a"');
    expect(unnamedFiles(folder)).toEqual([]);
    expect(readdirSync(join(folder, 'events')).sort()).toEqual(['checkpoint', 'leaves', 'payload', 'tile']);
  },
);

test('nothing of another source is in it but hashes', async () => {
  await fill();
  const [one, all] = [room.next(), room.next()];
  await exportTo(database.pool, signer, one, { source: a });
  await exportTo(database.pool, signer, all);
  const ofOthers = ['org-b', 'event-b', 'early-b', 'case of b', 'org-quiet'];
  const found = (text: string, words: readonly string[]) => words.filter((word) => text.includes(word));
  expect(found(textsOf(all), ofOthers)).toEqual(['org-b', 'event-b', 'case of b', 'org-quiet']);
  expect(found(textsOf(one), ofOthers)).toEqual([]);
  expect(found(textsOf(one), ['event-a-29', 'after-a-2', 'case of a', 'of org-a'])).toHaveLength(4);
});

test('a source without any event', async () => {
  await fill();
  const folder = room.next();
  const source = { kind: 'organization', id: 'org-quiet' } as const;
  expect(await exportTo(database.pool, signer, folder, { source })).toMatchObject({ events: 0, part: { leaves: 0 } });
  const { node, python } = await judge(folder);
  expect([node.faults, python.faults]).toEqual([[], []]);
  expect(node.claims).toContain('these are all events of organization org-quiet up to position 940: 0');
});

test('without a statement of coverage there is no bundle, and the message says how to get one', async () => {
  await addSources(database.pool, ['org-a']);
  await read('org-a', 'event-a', 3);
  await openBuilder(database.pool, signer).build();
  const exporting = exportTo(database.pool, signer, room.next(), { source: a });
  await expect(exporting).rejects.toMatchObject({
    code: 'usage',
    exitCode: 2,
    message: 'no signed statement says how many events organization org-a has',
    hint: 'orgtrail evidence statement --organization org-a',
  });
  expect(readdirSync(room.folder)).toEqual([]);
});

test('what is stored otherwise than it was signed gives no bundle, and is not hidden by the source of a leaf', async () => {
  await fill();
  const { pool } = database;
  await pool.query(
    `update evidence_tiles set sources = overlay(sources placing '\\x0002'::bytea from 2 * (930 - 768) + 1)
     where log = 'events' and level = 0 and n = 3`,
  );
  await expect(exportTo(pool, signer, room.next(), { source: a })).rejects.toMatchObject({ code: 'evidence_fails' });
});

test('can be compared with a kept checkpoint if the export was told of it', async () => {
  const { pool } = database;
  await addSources(pool, ['org-a', 'org-b']);
  await read('org-b', 'event-b', 300);
  await openBuilder(pool, signer).build();
  const { rows } = await pool.query<{ note: string }>(`select note from evidence_checkpoints where log = 'events'`);
  const kept = rows.at(-1)?.note ?? '';
  expect(kept).toContain('\n300\n');
  await read('org-b', 'more-b', 500);
  await openBuilder(pool, signer).build();
  await read('org-a', 'event-a', 3);
  await build();
  const [untold, told] = [room.next(), room.next()];
  await exportTo(pool, signer, untold, { source: a });
  const anchors = [{ name: 'kept', note: Buffer.from(kept) }];
  const { report } = await exportTo(pool, signer, told, { source: a, anchors });
  expect([report.holds, report.isAnchored]).toEqual([true, true]);
  for (const [folder, isCompared] of [
    [untold, false],
    [told, true],
  ] as const) {
    const { node, python } = await judge(folder, [kept]);
    expect([node.faults, python.faults]).toEqual([[], []]);
    expect([node.claims.includes('those of anchor 0'), python.claims.includes('which you kept')]).toEqual([
      isCompared,
      isCompared,
    ]);
  }
  const other = [{ name: 'kept', note: Buffer.from(kept.replace('\n300\n', '\n299\n')) }];
  await expect(exportTo(pool, signer, room.next(), { source: a, anchors: other })).rejects.toMatchObject({
    code: 'evidence_fails',
  });
});
