import pino from 'pino';
import { expect, test } from 'vitest';
import { verdict } from '../../../src/cli/output/search-report.ts';
import { coverageOf } from '../../../src/http/console/events/search-verdict.ts';
import { answerSearch } from '../../../src/http/search/answer.ts';
import { pageEnd } from '../../../src/http/search/routes.ts';
import { dropOldMonths } from '../../../src/retention/retention.sql.ts';
import { MemoryFiles } from '../../../src/search/bundle/bundle-files.ts';
import { writeSearchBundle } from '../../../src/search/bundle/write-search-bundle.ts';
import type { SearchSource } from '../../../src/search/ports.ts';
import { readSearch } from '../../../src/search/search.ts';
import { openExplorer } from '../../../src/search/search-source.ts';
import { openArchiveWorld } from '../../support/archive/archive-world.ts';
import { RETENTION_MS } from '../../support/postgres/store-fixture.ts';

test('a search says which months of its time were dropped without an archive, and is never complete then', async () => {
  await using world = await openArchiveWorld(3);
  const rules = { organizationIds: undefined, behindAfterSeconds: () => 60 };
  const explorer = openExplorer(world.database.daemonUrl, pino({ level: 'silent' }), Date.now, rules);
  await using _ = { [Symbol.asyncDispose]: () => explorer.close() };
  // All that is wanted is collected, so that nothing else makes a search incomplete.
  await world.owner.query("update sources set wanted_since = clock_timestamp() - interval '1 second'");
  const answer = async (query: Readonly<Record<string, string>>) => {
    const reading = readSearch(query, Date.now());
    return {
      search: reading.search,
      ...(await answerSearch(explorer.source, reading, { cursor: undefined, limit: 500 })),
    };
  };
  expect((await answer({})).incomplete).toEqual([]);
  const exported = explorer.source.export(readSearch({}, Date.now()).search, 'ndjson')[Symbol.asyncIterator]();
  await exported.next();
  const { dropped } = await dropOldMonths(world.daemon, RETENTION_MS);
  expect(dropped).toHaveLength(2);
  const rest = async () => {
    for (let next = await exported.next(); next.done !== true; next = await exported.next());
  };
  await expect(rest()).rejects.toThrow('2024-01, 2024-02 was dropped without an archive while it was read');

  const cases: readonly (readonly [Readonly<Record<string, string>>, readonly string[]])[] = [
    [{}, ['2024-01', '2024-02']],
    [{ before: '2024-02-01' }, ['2024-01']],
    [{ since: '2024-02-01' }, ['2024-02']],
    [{ since: '2024-03-01' }, []],
    [{ before: '2024-01-01' }, []],
    [{ organization: 'o' }, ['2024-01', '2024-02']],
  ];
  for (const [query, months] of cases) {
    const { coverage, incomplete, page, empty } = await answer(query);
    expect(coverage.droppedMonths, JSON.stringify(query)).toEqual(months);
    expect(incomplete.includes('months_dropped')).toBe(months.length > 0);
    const body = JSON.parse(`{"events":[${pageEnd({ page, coverage, empty, incomplete }, undefined)}`);
    expect(body.coverage.dropped_months).toEqual(months);
    if (months.length > 0) expect(body.complete).toBe(false);
  }

  const { search, coverage } = await answer({});
  expect(verdict(search, coverage, true)).toMatch(
    /fully collected .*, but for months that were dropped\.\n2 months \(2024-01, 2024-02\) were dropped without an archive: their events are gone\.$/,
  );
  const shown = String(coverageOf(coverage, search, Date.now()));
  expect(shown).toContain('class="coverage coverage-incomplete"');
  expect(shown).toContain('2 months (2024-01, 2024-02) were dropped without an archive');
});

test('a bundle that is full is not written if a month was dropped without an archive while it was read', async () => {
  await using world = await openArchiveWorld(3);
  const rules = { organizationIds: undefined, behindAfterSeconds: () => 60 };
  const explorer = openExplorer(world.database.daemonUrl, pino({ level: 'silent' }), Date.now, rules);
  await using _ = { [Symbol.asyncDispose]: () => explorer.close() };
  const dropping: SearchSource = {
    ...explorer.source,
    async *found(...asked) {
      for await (const piece of explorer.source.found(...asked)) {
        if (piece.events.length > 0) await dropOldMonths(world.daemon, RETENTION_MS);
        yield piece;
      }
    },
  };
  const written = writeSearchBundle(new MemoryFiles(2 ** 30), {
    source: dropping,
    evidence: undefined,
    reading: readSearch({}, Date.now()),
    askedBy: { by: 'console', name: null },
    version: '1.2.3',
    maxEvents: 1,
    maxEventBytes: 2 ** 30,
    nowMs: Date.now(),
  });
  await expect(written).rejects.toThrow('2024-01, 2024-02 was dropped without an archive while it was read');
});
