import { describe, expect, test } from 'vitest';
import { emptyPage } from '../../../src/ingest/entries/page.ts';
import { UnreadablePageError } from '../../../src/ingest/entries/page-envelope.ts';
import { parseFilters } from '../../../src/ingest/planning/filters.ts';
import { kindOf, sourceKindNames } from '../../../src/ingest/sources/registry.ts';
import type { PageQuery } from '../../../src/ingest/sources/source-kind.ts';
import { servedIds, servedLogs } from '../../support/sources/served-logs.ts';
import { openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

// What every kind of source promises, against the simulated Cloudflare. What one of them promises beside that is in other files.

const pageOf = (more: Partial<PageQuery> = {}): PageQuery => ({
  since: Date.UTC(2026, 3, 1, 0, 0, 0, 5),
  before: Date.UTC(2026, 3, 2),
  limit: 1_000,
  direction: 'asc',
  filters: [],
  ...more,
});
const bodyOf = (text: string) => ({ bytes: Buffer.from(text), text, validUtf8: true });

describe.each(sourceKindNames)('a source of the kind %s', (name) => {
  const kind = kindOf({ kind: name });
  const served = servedLogs[name];
  const worldOf = { accounts: 2, standaloneAccounts: 1, accountEntries: 600 };
  const env = { ORGTRAIL_SOURCES: 'organizations,accounts' };

  const stored = async (world: SyncWorld, id: string): Promise<readonly string[]> => {
    const { rows } = await world.database.pool.query<{ id: string }>(
      'select id from audit_events where source_kind = $1 and source_id = $2',
      [name, id],
    );
    return rows.map((row) => row.id).sort();
  };
  const requested = (world: SyncWorld, owner: string): readonly URLSearchParams[] =>
    world.simulator
      .requests()
      .map(({ path }) => new URL(path, 'http://localhost'))
      .filter(({ pathname }) => pathname.endsWith(served.path(owner)))
      .map(({ searchParams }) => searchParams);

  test('names itself, its path, and what it takes to read it', () => {
    expect(name).toMatch(/^[a-z][a-z0-9_]*$/);
    expect(kind.path('a%2Fb')).toBe(served.path('a%2Fb'));
    expect(kind.permission).toMatch(/\S/);
    expect(kind.retentionMs).toBeGreaterThan(0);
  });

  test('takes each of its filters, also negated as far as the API can, and no parameter that orgtrail sets', () => {
    for (const filter of kind.filters.names) {
      const value = filter === 'raw_status_code' ? '200' : 'x';
      for (const written of [filter, `${filter}.not`]) {
        expect(parseFilters(`${written}=${value}`, kind.filters)).toEqual({ filters: [[written, value]], faults: [] });
      }
    }
    const own = kind.query(pageOf({ cursor: 'c' })).map(([parameter]) => parameter);
    for (const parameter of own) {
      expect(parseFilters(`${parameter}=x`, kind.filters).faults).toEqual([
        `"${parameter}" is set by orgtrail itself and cannot be a filter`,
      ]);
    }
    expect(parseFilters('actor.email=x', kind.filters).faults).toEqual([
      'unknown filter "actor.email"; did you mean "actor_email"?',
    ]);
  });

  test('asks for every page of a walk with the same parameters, but for the cursor', () => {
    const first = kind.query(pageOf({ filters: [['action_type', 'create']] }));
    const next = kind.query(pageOf({ filters: [['action_type', 'create']], cursor: 'a=b' }));
    expect(next.filter(([, value]) => value !== 'a=b')).toEqual(first);
    expect(next).toHaveLength(first.length + 1);
    expect(first).toContainEqual(['action_type', 'create']);
    expect(kind.query(pageOf({ direction: 'desc' }))).not.toEqual(kind.query(pageOf()));
  });

  test.each(['', '<html>', '{"result":[{"id":"half', 'null', '{"success":false,"errors":[{"code":1}],"result":[]}'])(
    'does not take %j for a page',
    (text) => {
      for (const fastPath of [true, false]) {
        expect(() => kind.readPage(bodyOf(text), { fastPath })).toThrow(UnreadablePageError);
      }
    },
  );

  test('reads an empty page, on either path', () => {
    for (const fastPath of [true, false]) {
      const page = kind.readPage(bodyOf('{"success":true,"errors":[],"result":[],"result_info":{}}'), { fastPath });
      expect(page.entries).toBe(emptyPage.entries);
    }
  });

  test('every entry is stored once, under its kind and its owner, and a second sync adds nothing', async () => {
    await using world = await openWorld(worldOf, env);
    await using run = await world.open();
    expect(await run.sync()).toMatchObject({ failed: [], finished: true });
    const owners = served.owners(world.simulator);
    expect(owners.length).toBeGreaterThan(1);
    for (const owner of owners) {
      const truth = servedIds(world.simulator, name, owner);
      expect(truth.length).toBeGreaterThan(0);
      expect(await stored(world, owner)).toEqual(truth);
    }
    await world.expectExactTruth();
    const count = async () => (await world.compare()).stored;
    const before = await count();
    await run.sync();
    expect(await count()).toBe(before);
  });

  test('filters go out with every request', async () => {
    await using world = await openWorld(worldOf, {
      ...env,
      ORGTRAIL_FILTERS: 'action_type.not=view&action_result=success',
    });
    await using run = await world.open();
    await run.sync();
    for (const owner of served.owners(world.simulator)) {
      const requests = requested(world, owner);
      expect(requests.length).toBeGreaterThan(0);
      for (const query of requests) {
        expect(query.getAll('action_type.not')).toEqual(['view']);
        expect(query.getAll('action_result')).toEqual(['success']);
      }
    }
  });

  test('one that refuses is told, keeps the others going, and is read when it answers again', async () => {
    await using world = await openWorld(worldOf, env);
    const [refusing = '', ...others] = served.owners(world.simulator);
    world.simulator.setRefused({ kind: name, id: refusing }, true);
    await using run = await world.open();
    const report = await run.sync();
    expect(report.failed).toEqual([expect.objectContaining({ kind: name, id: refusing })]);
    expect(await stored(world, refusing)).toEqual([]);
    for (const other of others) {
      expect(await stored(world, other)).toEqual(servedIds(world.simulator, name, other));
    }
    world.simulator.setRefused({ kind: name, id: refusing }, false);
    await world.endRests();
    await run.sync();
    await world.expectExactTruth();
  });
});
