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
  await fill();
});
afterEach(async () => {
  room?.[Symbol.dispose]();
  await database?.close();
});

const read = async (source: string, texts: readonly string[]): Promise<void> => {
  await commit(database.pool, await takeLease(database.pool, source), [...texts], { claims: [seconds(0, 1)] });
};
const many = (name: string, count: number, fromMs: number): string[] =>
  Array.from({ length: count }, (_, index) => entryText(`${name}-${index}`, fromMs + index * 1_000));
const timeless = (name: string): string =>
  JSON.stringify({ ...JSON.parse(entryText(name, T0)), action: { type: 'x' } });

const february = Date.UTC(2025, 1, 1);

/** Two sources: events of January, the last second of it and the first of February, one without a time, and one whose content changed. */
const fill = async (): Promise<void> => {
  const { pool } = database;
  await pool.query("select orgtrail_create_partitions('2024-12-01', '2026-02-01')");
  await pool.query('update discovery set server_time = clock_timestamp()');
  await addSources(pool, ['org-a', 'org-b']);
  await read('org-b', many('december-b', 3, Date.UTC(2024, 11, 5)));
  await read('org-a', many('january-a', 20, Date.UTC(2025, 0, 5)));
  await read('org-b', many('january-b', 10, Date.UTC(2025, 0, 6)));
  await read('org-a', [entryText('last-a', february - 1), entryText('first-a', february)]);
  await read('org-a', [timeless('timeless-a')]);
  await read('org-b', many('february-b', 30, february));
  await read('org-a', [entryText('january-a-1', Date.UTC(2025, 0, 5) + 1_000, { later: 'of-january' })]);
  await read('org-a', [entryText('first-a', february, { later: 'of-february' })]);
  await openBuilder(pool, signer, { coverage: stateOnce }).build();
};

const january = { since: '2025-01-01T00:00:00.000Z', before: '2025-02-01T00:00:00.000Z', isHashesOnly: false };
const within = `that happened from ${january.since} to ${january.before}, or have no time, up to position`;
const a = { kind: 'organization', id: 'org-a' } as const;

const textsOf = (folder: string): string =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== 'verify.py')
    .map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'latin1'))
    .join('\n');

test.each([false, true])(
  'a bundle of a time proves that none of its events is missing (packed: %s)',
  async (isPacked) => {
    const folder = room.next();
    const exported = await exportTo(database.pool, signer, folder, { time: january, isPacked });
    expect(exported).toMatchObject({ events: 32, withheld: 34, logs: { events: { size: 66 } } });
    const { node, python } = await judge(folder);
    expect([node.faults, python.faults]).toEqual([[], []]);
    expect(node.claims).toContain(`these are all events ${within} 66, but for what was dropped: 32`);
    expect(python.claims).toContain(`These are all events ${within} 66, but for what was dropped: 32`);
    const readme = readFileSync(join(folder, 'README.txt'), 'utf8');
    expect(readme).toContain(`A BUNDLE OF A TIME: ${january.since} to ${january.before}`);
    expect(unnamedFiles(folder)).toEqual([]);
    expect(readFileSync(join(folder, 'changes.ndjson'), 'utf8').split('\n')).toHaveLength(2);
  },
);

test('has the content of no other event, and with hashes alone nothing of it but hashes', async () => {
  const [shown, hashes] = [room.next(), room.next()];
  await exportTo(database.pool, signer, shown, { time: january });
  await exportTo(database.pool, signer, hashes, { time: { ...january, isHashesOnly: true } });
  const found = (folder: string, words: readonly string[]) => words.filter((word) => textsOf(folder).includes(word));
  expect(found(shown, ['"last-a"', '"timeless-a"', 'of-january'])).toHaveLength(3);
  expect(found(shown, ['"first-a"', '"february-b-2"', '"december-b-1"', 'of-february'])).toEqual(['"first-a"']);
  expect(found(hashes, ['february-b-2', 'december-b-1', 'of-february'])).toEqual([]);
  const { node, python } = await judge(hashes);
  expect([node.faults, python.faults]).toEqual([[], []]);
  expect(`${node.claims}${python.claims}`).not.toContain('happened from');
  expect(readdirSync(join(hashes, 'events')).sort()).toEqual(['checkpoint', 'payload', 'sources', 'tile', 'time']);
});

test('of one source and a time, and without any event of it', async () => {
  const [folder, empty] = [room.next(), room.next()];
  const exported = await exportTo(database.pool, signer, folder, { time: january, source: a });
  expect(exported).toMatchObject({ events: 22, withheld: 1, part: { leaves: 23 } });
  expect(exported.report.subject).toContain('organization org-a; a bundle of a time');
  const { node, python } = await judge(folder);
  expect([node.faults, python.faults]).toEqual([[], []]);
  expect(node.claims).toContain(
    `these are all events of organization org-a ${within} 66, but for what was dropped: 22`,
  );
  expect(textsOf(folder)).not.toContain('org-b');
  const time = { since: '2023-01-01T00:00:00.000Z', before: '2024-01-01T00:00:00.000Z', isHashesOnly: false };
  expect(await exportTo(database.pool, signer, empty, { time, source: { ...a, id: 'org-b' } })).toMatchObject({
    events: 0,
  });
  const judged = await judge(empty);
  expect([judged.node.faults, judged.python.faults]).toEqual([[], []]);
});
