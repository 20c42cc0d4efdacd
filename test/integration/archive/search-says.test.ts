import pino from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { archiveMonth } from '../../../src/archive/archive-month.ts';
import { useArchive } from '../../../src/archive/catalogue.sql.ts';
import { openObjectStore } from '../../../src/archive/store/object-store.ts';
import type { ObjectStore } from '../../../src/archive/store/ports.ts';
import { searchText, verdict } from '../../../src/cli/output/search-report.ts';
import { answerSearch } from '../../../src/http/search/answer.ts';
import { pageEnd } from '../../../src/http/search/routes.ts';
import { dropOldMonths } from '../../../src/retention/retention.sql.ts';
import { readSearch } from '../../../src/search/search.ts';
import { incompleteReasons } from '../../../src/search/search-answer.ts';
import { type Explorer, openExplorer } from '../../../src/search/search-source.ts';
import { type ArchiveWorld, openArchiveWorld, smallObjects } from '../../support/archive/archive-world.ts';
import { RETENTION_MS } from '../../support/postgres/store-fixture.ts';

let world: ArchiveWorld;
let store: ObjectStore;
let explorer: Explorer;

beforeEach(async () => {
  world = await openArchiveWorld();
  const target = { kind: 'file', name: `file://${world.directory}`, directory: world.directory } as const;
  store = openObjectStore(target, { accessKey: undefined, secretKey: undefined, environment: {} });
  await useArchive(world.daemon, store.name);
  const rules = { organizationIds: undefined, behindAfterSeconds: () => 60 };
  explorer = openExplorer(world.database.daemonUrl, pino({ level: 'silent' }), Date.now, rules);
});
afterEach(async () => {
  await explorer?.close();
  await world[Symbol.asyncDispose]();
});

const drop = () =>
  dropOldMonths(world.daemon, RETENTION_MS, (month) =>
    archiveMonth({ pool: world.daemon, store, limits: smallObjects }, month),
  );
const answer = async (query: Readonly<Record<string, string>> = {}) => {
  const { search, given } = readSearch(query, Date.now());
  return {
    search,
    ...(await answerSearch(explorer.source, { search, given, faults: [] }, { cursor: undefined, limit: 500 })),
  };
};

describe('a search over months that are in the archive alone', () => {
  test('says which were not searched, as far as its time and organization touch them', async () => {
    expect((await answer()).incomplete).not.toContain('archive_not_searched');
    await drop();
    const cases: readonly (readonly [Readonly<Record<string, string>>, readonly string[]])[] = [
      [{}, ['2024-01', '2024-02']],
      [{ since: '2024-02-01' }, ['2024-02']],
      [{ before: '2024-02-01' }, ['2024-01']],
      [{ since: '2024-01-31T23:59:59.999999Z', before: '2024-02-01T00:00:00.000001Z' }, ['2024-01', '2024-02']],
      [{ since: '2024-03-01' }, []],
      [{ before: '2024-01-01' }, []],
      [{ organization: 'o' }, ['2024-01']],
      [{ organization: 'none' }, []],
      [{ actor: 'someone@example.com' }, ['2024-01', '2024-02']],
    ];
    for (const [query, months] of cases) {
      const { coverage, incomplete, page, empty } = await answer(query);
      expect(coverage.archivedMonths, JSON.stringify(query)).toEqual(months);
      expect(incomplete.includes('archive_not_searched')).toBe(months.length > 0);
      const body = JSON.parse(`{"events":[${pageEnd({ page, coverage, empty, incomplete }, undefined)}`);
      expect(body.coverage.archived_months).toEqual(months);
      if (months.length > 0) expect(body.complete).toBe(false);
    }
  });

  test('does not say of a value that it never occurs: it may in the archive', async () => {
    await drop();
    const { incomplete, empty } = await answer({ resource: 'none', since: '2024-01-01' });
    expect(incomplete).toContain('value_not_checked');
    expect(incomplete).not.toContain('value_never_occurs');
    expect(empty?.filters).toMatchObject([{ field: 'resource', occurs: null, occursInRange: null }]);
    expect((await answer({ resource: 'none', since: '2024-03-01' })).incomplete).toContain('value_never_occurs');
  });

  test('of a later time says of a value of the archive only that PostgreSQL does not have it', async () => {
    await drop();
    const { search, page, coverage, empty, incomplete } = await answer({ q: 'id:february', since: '2024-03-01' });
    expect(incomplete).toContain('value_never_occurs');
    expect(incompleteReasons.value_never_occurs).toContain('occurs in no event that is in PostgreSQL');
    const shown = { search, events: page.events, coverage, empty, incomplete, next: null };
    expect(searchText(shown, undefined)).toContain('id:february occurs in no event that is in PostgreSQL');
  });

  test('says so on a terminal', async () => {
    await drop();
    const { search, page, coverage, empty, incomplete } = await answer();
    const shown = { search, events: page.events, coverage, empty, incomplete, next: null };
    expect(searchText(shown, undefined)).toMatch(/\n2 archived months \(2024-01, 2024-02\) were not searched\.\n$/);
    expect(verdict(search, { ...coverage, archivedMonths: ['2024-01'] }, true)).toMatch(
      /\nThe archived month 2024-01 was not searched\.$/,
    );
  });

  test('says so if the month is dropped while it looks', async () => {
    const { source } = explorer;
    const dropping = {
      ...source,
      coverage: async (...asked: Parameters<typeof source.coverage>) => {
        const coverage = await source.coverage(...asked);
        await drop();
        return coverage;
      },
    };
    const page = { cursor: undefined, limit: 500 };
    const { incomplete } = await answerSearch(dropping, readSearch({}, Date.now()), page);
    expect(incomplete).toContain('archive_not_searched');
  });

  test('as an export breaks off if a month goes into the archive while it is read', async () => {
    const read = async () => {
      let text = '';
      for await (const { lines } of explorer.source.export(readSearch({}, Date.now()).search, 'ndjson')) {
        if (text === '') await drop();
        text += lines;
      }
      return text;
    };
    await expect(read()).rejects.toThrow('2024-01, 2024-02 went into the archive while it was read');
    expect((await read()).split('\n')).toHaveLength(2);
  });
});
