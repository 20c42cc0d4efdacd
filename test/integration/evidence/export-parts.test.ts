import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { newestNotes } from '../../support/evidence/builder-world.ts';
import { unnamedFiles } from '../../support/evidence/bundles/exported-bundle.ts';
import { judgedSound, worldOfAllTests } from '../../support/evidence/evidence-world.ts';
import { stateOnce } from '../../support/evidence/stated-coverage.ts';
import { addSources, commit, entryText, seconds, T0, takeLease } from '../../support/postgres/store-fixture.ts';

const ofA = { source: 'org-a', claims: [seconds(0, 1)] };
const ofB = { source: 'org-b', claims: [seconds(0, 1)] };

describe('a bundle of one source', () => {
  /** The checkpoint of the first 300 events, in a tile without events of org-a; no statement of coverage speaks of this tree. */
  let kept = '';

  /** Two sources in several tiles, changed contents, holds, a month that was dropped, coverage of both; then some more events. */
  const world = worldOfAllTests(async () => {
    const { pool } = world;
    await world.allowDrops();
    await addSources(pool, ['org-a', 'org-b', 'org-quiet']);
    await world.addEvents(5, 'early-a', { ...ofA, fromMs: Date.UTC(2025, 0, 5) });
    await world.addEvents(5, 'early-b', { ...ofB, fromMs: Date.UTC(2025, 0, 6) });
    await world.addEvents(290, 'event-b', ofB);
    await world.build();
    kept = (await newestNotes(pool))[0] ?? '';
    await world.addEvents(610, 'event-b-later', ofB);
    await world.build();
    await world.addEvents(30, 'event-a', ofA);
    for (const source of ['org-a', 'org-b']) {
      const name = `event-${source.slice(-1)}-1`;
      await commit(pool, await takeLease(pool, source), [entryText(name, T0 + 1_000, { later: `of ${source}` })]);
    }
    await pool.query(
      `insert into holds (reason, created_by, organization_id) values ('case of a', 'J. Doe', 'org-a'), ('case of b', 'J. Doe', 'org-b')`,
    );
    await world.build({ coverage: stateOnce });
    await pool.query('update holds set released_at = clock_timestamp(), released_as = session_user');
    expect(await world.drop('2025-01')).toBeNull();
    await world.build({ coverage: stateOnce });
    await world.addEvents(3, 'after-a', ofA);
    await world.build({ coverage: stateOnce });
  });

  test('has its events, and proves that these are all, packed or not', async () => {
    for (const isPacked of [false, true]) {
      const { folder, ...exported } = await world.export({ source: a, isPacked });
      expect(exported).toMatchObject({
        events: 33,
        part: { leaves: 38, completeTo: 940 },
        logs: { events: { size: 943 } },
      });
      const { node, python } = await judgedSound(folder);
      expect(node.claims).toContain('these are all events of organization org-a up to position 940: 35');
      expect(node.claims).toContain(
        'of 38 events of organization org-a 33 are as they were hashed, and 5 were dropped',
      );
      expect(python.claims).toContain('These are all events of organization org-a up to position 940: 35');
      const readme = readFileSync(join(folder, 'README.txt'), 'utf8');
      expect(readme).toContain('A BUNDLE OF ONE SOURCE: organization "org-a"');
      expect(unnamedFiles(folder)).toEqual([]);
      expect(readdirSync(join(folder, 'events')).sort()).toEqual(['checkpoint', 'leaves', 'payload', 'tile']);
    }
  });

  test('has nothing of another source but hashes', async () => {
    const { folder: one } = await world.export({ source: a });
    const { folder: all } = await world.export();
    const ofOthers = ['org-b', 'event-b', 'early-b', 'case of b', 'org-quiet'];
    expect(found(all, ofOthers)).toEqual(['org-b', 'event-b', 'case of b', 'org-quiet']);
    expect(found(one, ofOthers)).toEqual([]);
    expect(found(one, ['event-a-29', 'after-a-2', 'case of a', 'of org-a'])).toHaveLength(4);
  });

  test('of a source without any event', async () => {
    const { folder, ...exported } = await world.export({ source: { kind: 'organization', id: 'org-quiet' } });
    expect(exported).toMatchObject({ events: 0, part: { leaves: 0 } });
    const { node } = await judgedSound(folder);
    expect(node.claims).toContain('these are all events of organization org-quiet up to position 940: 0');
  });

  test('can be compared with a kept checkpoint if the export was told of it', async () => {
    expect(kept).toContain('\n300\n');
    const anchorOf = (note: string) => [{ name: 'kept', note: Buffer.from(note) }];
    const untold = await world.export({ source: a });
    const told = await world.export({ source: a, anchors: anchorOf(kept) });
    expect([told.report.holds, told.report.isAnchored]).toEqual([true, true]);
    for (const { folder } of [untold, told]) {
      const { node, python } = await judgedSound(folder, [kept]);
      const isCompared = folder === told.folder;
      expect([node.claims.includes('those of anchor 0'), python.claims.includes('which you kept')]).toEqual([
        isCompared,
        isCompared,
      ]);
    }
    const other = world.export({ source: a, anchors: anchorOf(kept.replace('\n300\n', '\n299\n')) });
    await expect(other).rejects.toMatchObject({ code: 'evidence_fails' });
  });

  test('is not made without a statement of coverage, and the message says how to get one', async () => {
    await world.addEvents(3, 'event-new', { source: 'org-new' });
    await world.build();
    const before = readdirSync(world.room.folder);
    const exporting = world.export({ source: { kind: 'organization', id: 'org-new' } });
    await expect(exporting).rejects.toMatchObject({
      code: 'usage',
      exitCode: 2,
      message: 'no signed statement says how many events organization org-new has',
      hint: 'orgtrail evidence statement --organization org-new',
    });
    expect(readdirSync(world.room.folder)).toEqual(before);
  });

  test('is not made of what is stored otherwise than it was signed: the source of a leaf does not hide it', async () => {
    await world.pool.query(
      `update evidence_tiles set sources = overlay(sources placing '\\x0002'::bytea from 2 * (930 - 768) + 1)
       where log = 'events' and level = 0 and n = 3`,
    );
    await expect(world.export({ source: a })).rejects.toMatchObject({ code: 'evidence_fails' });
  });
});

describe('a bundle of a time', () => {
  const timeless = JSON.stringify({ ...JSON.parse(entryText('timeless-a', T0)), action: { type: 'x' } });
  const february = Date.UTC(2025, 1, 1);
  const later = (word: string, fromMs: number, id: string) => entryText(id, fromMs, { later: word });

  /** Two sources: events of January, the last second of it and the first of February, one without a time, and one whose content changed. */
  const world = worldOfAllTests(async () => {
    const commitOfA = async (...texts: readonly string[]) =>
      await commit(world.pool, await takeLease(world.pool, 'org-a'), texts, { claims: [seconds(0, 1)] });
    await world.allowDrops('2024-12-01');
    await world.addEvents(3, 'december-b', { ...ofB, fromMs: Date.UTC(2024, 11, 5) });
    await world.addEvents(20, 'january-a', { ...ofA, fromMs: Date.UTC(2025, 0, 5) });
    await world.addEvents(10, 'january-b', { ...ofB, fromMs: Date.UTC(2025, 0, 6) });
    await commitOfA(entryText('last-a', february - 1), entryText('first-a', february));
    await commitOfA(timeless);
    await world.addEvents(30, 'february-b', { ...ofB, fromMs: february });
    await commitOfA(later('of-january', Date.UTC(2025, 0, 5) + 1_000, 'january-a-1'));
    await commitOfA(later('of-february', february, 'first-a'));
    await world.build({ coverage: stateOnce });
  });

  const january = { since: '2025-01-01T00:00:00.000Z', before: '2025-02-01T00:00:00.000Z', isHashesOnly: false };
  const within = `that happened from ${january.since} to ${january.before}, or have no time, up to position`;

  test('proves that none of its events is missing, packed or not', async () => {
    for (const isPacked of [false, true]) {
      const { folder, ...exported } = await world.export({ time: january, isPacked });
      expect(exported).toMatchObject({ events: 32, withheld: 34, logs: { events: { size: 66 } } });
      const { node, python } = await judgedSound(folder);
      expect(node.claims).toContain(`these are all events ${within} 66, but for what was dropped: 32`);
      expect(python.claims).toContain(`These are all events ${within} 66, but for what was dropped: 32`);
      const readme = readFileSync(join(folder, 'README.txt'), 'utf8');
      expect(readme).toContain(`A BUNDLE OF A TIME: ${january.since} to ${january.before}`);
      expect(unnamedFiles(folder)).toEqual([]);
      expect(readFileSync(join(folder, 'changes.ndjson'), 'utf8').split('\n')).toHaveLength(2);
    }
  });

  test('has the content of no other event, and with hashes alone nothing of it but hashes', async () => {
    const { folder: shown } = await world.export({ time: january });
    const { folder: hashes } = await world.export({ time: { ...january, isHashesOnly: true } });
    expect(found(shown, ['"last-a"', '"timeless-a"', 'of-january'])).toHaveLength(3);
    expect(found(shown, ['"first-a"', '"february-b-2"', '"december-b-1"', 'of-february'])).toEqual(['"first-a"']);
    expect(found(hashes, ['february-b-2', 'december-b-1', 'of-february'])).toEqual([]);
    const { node, python } = await judgedSound(hashes);
    expect(`${node.claims}${python.claims}`).not.toContain('happened from');
    expect(readdirSync(join(hashes, 'events')).sort()).toEqual(['checkpoint', 'payload', 'sources', 'tile', 'time']);
  });

  test('of one source and a time, and without any event of it', async () => {
    const { folder, ...exported } = await world.export({ time: january, source: a });
    expect(exported).toMatchObject({ events: 22, withheld: 1, part: { leaves: 23 } });
    expect(exported.report.subject).toContain('organization org-a; a bundle of a time');
    const { node } = await judgedSound(folder);
    expect(node.claims).toContain(
      `these are all events of organization org-a ${within} 66, but for what was dropped: 22`,
    );
    expect(textsOf(folder)).not.toContain('org-b');
    const time = { since: '2023-01-01T00:00:00.000Z', before: '2024-01-01T00:00:00.000Z', isHashesOnly: false };
    const empty = await world.export({ time, source: { ...a, id: 'org-b' } });
    expect(empty).toMatchObject({ events: 0 });
    await judgedSound(empty.folder);
  });
});

const a = { kind: 'organization', id: 'org-a' } as const;

const textsOf = (folder: string): string =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== 'verify.py')
    .map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'latin1'))
    .join('\n');

const found = (folder: string, words: readonly string[]) => {
  const text = textsOf(folder);
  return words.filter((word) => text.includes(word));
};
