import { readFile, rm, writeFile } from 'node:fs/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { dropOldMonths } from '../../../src/archive/retention.sql.ts';
import { searchText, verdict } from '../../../src/cli/search/reports.ts';
import { coverageOf } from '../../../src/http/console/events/search-verdict.ts';
import { MemoryFiles, writeSearchBundle } from '../../../src/search/bundle/write-search-bundle.ts';
import { coverageBody, pageRest } from '../../../src/search/contract.ts';
import { readSearch } from '../../../src/search/query/search.ts';
import type { SearchSource } from '../../../src/search/search-source.ts';
import { january, openFileArchive } from '../../support/archive/archive-world.ts';
import { openSearch, openSearchedArchive, type Query } from '../../support/archive/searched-archive.ts';
import { createSearchedMonths } from '../../support/archive/searched-months.ts';
import { commit, entryText, RETENTION_MS, takeLease } from '../../support/postgres/store-fixture.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';

const both = ['2024-01', '2024-02'];

describe('a search over months that are in the archive alone', () => {
  const world = forAllTests(() => openSearchedArchive());
  beforeAll(async () => {
    const add = await createSearchedMonths(world.owner, seededRandom(7));
    await add(6);
    await world.change('january-3');
  });

  test('gives and exports them as before the drop, opens an event with its later contents, and breaks off an export of the database alone', async () => {
    const { search } = readSearch({ archive: 'true' }, Date.now());
    const all = { cursor: undefined, limit: 500 };
    const before = await world.source.search(search, all);
    expect(before.archivedMonths).toEqual([]);
    expect((await world.page({}, undefined, 500)).events).toEqual(before.events);
    expect((await world.answer()).incomplete).not.toContain('archive_not_searched');
    const exported = await world.exported();
    const detail = await world.source.event({ position: 4 });
    expect(detail).toMatchObject({ event: { id: 'january-3', changed: true }, changesInAll: 1 });
    await expect(world.exported({}, () => world.drop())).rejects.toThrow(
      '2024-01, 2024-02 went into the archive while it was read',
    );
    expect(await world.source.search(search, all)).toMatchObject({ archivedMonths: both, events: before.events });
    expect((await world.source.search(readSearch(from('2024-02-01'), Date.now()).search, all)).archivedMonths).toEqual([
      '2024-02',
    ]);
    expect(await world.exported({ archive: 'true' })).toBe(exported);
    const young = (await world.exported()).split('\n').slice(0, -1);
    expect(young.length).toBeGreaterThan(0);
    expect(young.filter((line) => JSON.parse(line).action_time < '2026')).toEqual([]);
    expect(await world.source.event({ position: 4 })).toEqual({
      ...detail,
      changes: detail?.changes.map(({ seenAt, rawText }) => ({ seenAt, rawText })),
      previousPosition: null,
      nextPosition: expect.any(Number),
    });
    expect(await world.source.event({ position: 4_000 })).toBeUndefined();
  });

  test.each<[Query, readonly string[]]>([
    [{}, both],
    [{ since: '2024-02-01' }, ['2024-02']],
    [{ before: '2024-02-01' }, ['2024-01']],
    [{ since: '2024-01-31T23:59:59.999999Z', before: '2024-02-01T00:00:00.000001Z' }, both],
    [{ since: '2024-03-01' }, []],
    [{ before: '2024-01-01' }, []],
    [{ organization: 'o' }, ['2024-01']],
    [{ organization: 'none' }, []],
    [{ actor: 'someone@example.com' }, both],
  ])('says which were not searched, as far as its time and organization touch them: %j', async (query, months) => {
    const answer = await world.answer(query);
    expect(answer.coverage.archivedMonths).toEqual(months);
    expect(answer.incomplete.includes('archive_not_searched')).toBe(months.length > 0);
    expect(bodyOf(answer).coverage.archived_months).toEqual(months);
    if (months.length > 0) expect(bodyOf(answer).complete).toBe(false);
  });

  test('does not say of a value that it never occurs: it may in the archive; of a later time, that PostgreSQL does not have it', async () => {
    const { incomplete, empty } = await world.answer({ resource: 'none', since: '2024-01-01' });
    expect(incomplete).toContain('value_not_checked');
    expect(incomplete).not.toContain('value_never_occurs');
    expect(empty?.filters).toMatchObject([{ field: 'resource', occurs: null, occursInRange: null }]);
    const later = await world.answer({ q: 'id:february', since: '2024-03-01' });
    expect(later.incomplete).toContain('value_never_occurs');
    expect(onTerminal(later)).toContain('id:february occurs in no event that is in PostgreSQL');
  });

  test('says so on a terminal', async () => {
    const answer = await world.answer();
    expect(onTerminal(answer)).toMatch(/\n2 archived months \(2024-01, 2024-02\) were not searched\.\n$/);
    expect(verdict(answer.search, { ...coverageBody(answer.coverage), archived_months: ['2024-01'] }, true)).toMatch(
      /\nThe archived month 2024-01 was not searched\.$/,
    );
  });

  test('is refused without an archive', async () => {
    await using plain = openSearch(world, false);
    await expect(plain.answer({ archive: 'true' })).rejects.toMatchObject({ reason: 'refused' });
  });

  test('ends with a reason if an object is missing or was altered', async () => {
    const [file = ''] = await world.objects('2024-01');
    const bytes = await readFile(file);
    const damages = [() => rm(file), () => writeFile(file, Buffer.from(bytes).fill(7, 100, 400))];
    for (const damage of damages) {
      // What was read before is remembered.
      await using fresh = openSearch(world);
      await damage();
      const page = fresh.page({ archive: 'true' }, undefined, 500);
      await expect(page, String(damage)).rejects.toMatchObject({ code: 'archive_unreadable' });
      expect((await fresh.page(from('2024-02-01'), undefined, 500)).events.length).toBeGreaterThan(1);
    }
    await writeFile(file, bytes);
  });

  test('knows the later contents of a month that is dropped a second time', async () => {
    const changed = async () =>
      (await world.page({ archive: 'true', changed: 'true' }, undefined, 500)).events
        .map(({ id }) => id)
        .filter((id) => /^(january|late)-/.test(id));
    expect(await changed()).toEqual(['january-3']);
    await world.owner.query("select orgtrail_create_partitions('2024-01-01', '2024-01-02')");
    await world.addLate(2, 'late');
    const again = entryText('late-1', january, { other: true });
    await commit(world.owner, await takeLease(world.owner, 'late'), [again]);
    expect((await world.drop()).dropped).toHaveLength(1);
    expect(await changed()).toEqual(['january-3', 'late-1']);
  });

  test('says so if the month is dropped while it looks', async () => {
    await using other = await openFileArchive(3);
    await using plain = openSearch(other, false);
    const dropping: SearchSource = {
      ...plain.source,
      coverage: async (...asked) => {
        const coverage = await plain.source.coverage(...asked);
        await other.drop();
        return coverage;
      },
    };
    expect((await plain.answer({}, dropping)).incomplete).toContain('archive_not_searched');
  });
});

test('a search says which months of its time were dropped without an archive, and is never complete then; what is read meanwhile breaks off', async () => {
  await using world = await openFileArchive(3);
  await world.owner.query('delete from archive_policy');
  await using plain = openSearch(world, false);
  // All that is wanted is collected, so that nothing else makes a search incomplete.
  await world.owner.query("update sources set wanted_since = clock_timestamp() - interval '1 second'");
  expect((await plain.answer()).incomplete).toEqual([]);
  const gone = '2024-01, 2024-02 was dropped without an archive while it was read';
  const dropping: SearchSource = {
    ...plain.source,
    async *found(...asked) {
      for await (const piece of plain.source.found(...asked)) {
        if (piece.events.length > 0) await dropOldMonths(world.daemon, RETENTION_MS);
        yield piece;
      }
    },
  };
  const full = {
    source: dropping,
    evidence: undefined,
    reading: readSearch({}, Date.now()),
    askedBy: { by: 'console', name: null } as const,
    version: '1.2.3',
    maxEvents: 1,
    maxEventBytes: 2 ** 30,
    nowMs: Date.now(),
  };
  const exported = plain.exported({}, () =>
    expect(writeSearchBundle(new MemoryFiles(2 ** 30), full)).rejects.toThrow(gone),
  );
  await expect(exported).rejects.toThrow(gone);

  const cases: readonly (readonly [Query, readonly string[]])[] = [
    [{}, both],
    [{ before: '2024-02-01' }, ['2024-01']],
    [{ since: '2024-02-01' }, ['2024-02']],
    [{ since: '2024-03-01' }, []],
    [{ before: '2024-01-01' }, []],
    [{ organization: 'o' }, both],
  ];
  for (const [query, months] of cases) {
    const answer = await plain.answer(query);
    expect(answer.coverage.droppedMonths, JSON.stringify(query)).toEqual(months);
    expect(answer.incomplete.includes('months_dropped')).toBe(months.length > 0);
    expect(bodyOf(answer).coverage.dropped_months).toEqual(months);
    if (months.length > 0) expect(bodyOf(answer).complete).toBe(false);
  }
  const { search, coverage } = await plain.answer();
  expect(verdict(search, coverageBody(coverage), true)).toMatch(
    /fully collected .*, but for months that were dropped\.\n2 months \(2024-01, 2024-02\) were dropped without an archive: their events are gone\.$/,
  );
  const shown = String(coverageOf(coverage, search, Date.now()));
  expect(shown).toContain('coverage-incomplete');
  expect(shown).toContain('2 months (2024-01, 2024-02) were dropped without an archive');
});

type Answer = Awaited<ReturnType<ReturnType<typeof openSearch>['answer']>>;

/** As `orgtrail search` writes it. */
const onTerminal = (answer: Answer) =>
  searchText(answer.search, { ...bodyOf(answer), next: null, events: answer.page.events }, undefined);

/** As the API writes it. */
const bodyOf = (answer: Answer) => pageRest(answer, undefined);

const from = (since: string): Query => ({ archive: 'true', since });
