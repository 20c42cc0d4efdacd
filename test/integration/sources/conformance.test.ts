import { describe, expect, test } from 'vitest';
import { verifyBlock } from '../../../src/evidence/stored/read-block.sql.ts';
import { emptyPage, UnreadablePageError } from '../../../src/ingest/entries/page.ts';
import { kindOf, type SourceKindName, sourceKindNames } from '../../../src/ingest/sources/registry.ts';
import { type PageQuery, parseFilters } from '../../../src/ingest/sources/source-kind.ts';
import { newSigner, openBuilder } from '../../support/evidence/builder-world.ts';
import { servedIds, servedLogs } from '../../support/sources/served-logs.ts';
import { openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

describe.each(sourceKindNames)('a source of the kind %s', (name) => {
  const kind = kindOf({ kind: name });
  const served = servedLogs[name];

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
});

/** Owners with a log of every kind, each with more than a page. */
const logs = { organizations: 2, entries: 200, accounts: 2, standaloneAccounts: 1, accountEntries: 200 };
const env = { ORGTRAIL_SOURCES: 'organizations,accounts' };

const ownersOf = ({ simulator }: SyncWorld) =>
  sourceKindNames.flatMap((kind) => {
    const owners = servedLogs[kind].owners(simulator);
    expect(owners.length, kind).toBeGreaterThan(1);
    return owners.map((id) => ({ kind, id, isFirst: id === owners[0] }));
  });
const expectStored = async ({ database, simulator }: SyncWorld, kind: SourceKindName, id: string): Promise<void> => {
  const { rows } = await database.pool.query<{ id: string }>(
    'select id from audit_events where source_kind = $1 and source_id = $2',
    [kind, id],
  );
  const truth = servedIds(simulator, kind, id);
  expect(truth.length, `${kind} ${id}`).toBeGreaterThan(0);
  expect(rows.map((row) => row.id).sort(), `${kind} ${id}`).toEqual(truth);
};

test('one of each kind refuses: it is told, keeps the others going, and is read when it answers again; then every entry is stored once, under its kind and its owner, and a second sync adds nothing', async () => {
  await using world = await openWorld(logs, env);
  const owners = ownersOf(world);
  const refusing = owners.filter(({ isFirst }) => isFirst);
  for (const source of refusing) world.simulator.setRefused(source, true);
  await using run = await world.open();
  const { failed } = await run.sync();
  expect(failed).toHaveLength(refusing.length);
  for (const { kind, id } of refusing) expect(failed).toContainEqual(expect.objectContaining({ kind, id }));
  const { rows } = await world.database.pool.query(
    'select distinct source_kind as kind, source_id as id, false as "isFirst" from audit_events',
  );
  const others = owners.filter(({ isFirst }) => !isFirst);
  expect(rows).toHaveLength(others.length);
  expect(rows).toEqual(expect.arrayContaining(others));
  for (const { kind, id } of others) await expectStored(world, kind, id);

  for (const source of refusing) world.simulator.setRefused(source, false);
  await world.endRests();
  expect(await run.sync()).toMatchObject({ failed: [], finished: true });
  for (const { kind, id } of owners) await expectStored(world, kind, id);
  const { stored } = await world.expectExactTruth();
  await run.sync();
  expect((await world.compare()).stored).toBe(stored);
});

test('filters go out with every request of every kind', async () => {
  const filters = { ORGTRAIL_FILTERS: 'action_type.not=view&action_result=success' };
  await using world = await openWorld({ ...logs, entries: 50, accountEntries: 50 }, { ...env, ...filters });
  await using run = await world.open();
  await run.sync();
  const asked = world.simulator.requests().map(({ path }) => new URL(path, 'http://localhost'));
  for (const { kind, id } of ownersOf(world)) {
    const requests = asked.filter(({ pathname }) => pathname.endsWith(servedLogs[kind].path(id)));
    expect(requests.length, `${kind} ${id}`).toBeGreaterThan(0);
    for (const { searchParams } of requests) {
      expect(searchParams.getAll('action_type.not')).toEqual(['view']);
      expect(searchParams.getAll('action_result')).toEqual(['success']);
    }
  }
});

test('odd entries of every kind are stored as the evidence finds them when it verifies itself', async () => {
  await using world = await openWorld({ ...logs, faults: { defectRate: 0.3 } }, env);
  await using run = await world.open();
  await run.sync();
  const { pool } = world.database;
  const { rows } = await pool.query(
    'select count(distinct source_kind) as kinds from audit_events where defects is not null',
  );
  expect(Number(rows[0].kinds)).toBe(sourceKindNames.length);
  await openBuilder(pool, newSigner()).build();
  expect(await verifyBlock(pool, 0)).toEqual([]);
});

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
