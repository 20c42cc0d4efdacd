import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createEvidenceStore } from '../../../src/evidence/builder/evidence-store.sql.ts';
import { endLog } from '../../../src/evidence/generations/end-log.sql.ts';
import { readConfiguredAnchors } from '../../../src/evidence/generations/known-checkpoints.ts';
import { isInTree } from '../../../src/evidence/generations/next-log.ts';
import { verifyBlock } from '../../../src/evidence/stored/read-block.sql.ts';
import { verifyTree } from '../../../src/evidence/stored/verify-tree.sql.ts';
import { directoryAnchor, openAnchoringBuilder } from '../../support/evidence/anchors/anchoring-builder.ts';
import { BASE, newestNote, newSigner, next } from '../../support/evidence/builder-world.ts';
import { judgedSound, worldOfEachTest } from '../../support/evidence/evidence-world.ts';
import { judge } from '../../support/evidence/judge.ts';
import { idsOf, orderNewKey, signersOfNewest } from '../../support/evidence/key-orders.ts';
import { rememberForRewind } from '../../support/evidence/rewind.ts';
import { readsOf } from '../../support/evidence/stated-coverage.ts';
import { commit, entryText, FILTERS, T0, takeLease } from '../../support/postgres/store-fixture.ts';

const world = worldOfEachTest();
const DAY_MS = 86_400_000;

/** Both verifiers, and what the log finds in itself, agree that all is in order. */
const sound = async (kept: readonly string[] = []) => {
  expect([await verifyTree(world.pool), await verifyBlock(world.pool, 0)]).toEqual([[], []]);
  return await judgedSound((await world.export()).folder, kept);
};

const hold = async (since: string, organization: string | null = null) => {
  const { rows } = await world.pool.query<{ id: number }>(
    `insert into holds (organization_id, reason, created_by, since) values ($1, 'case 17', 'J. Doe', $2) returning id::float8 as id`,
    [organization, since],
  );
  return rows[0]?.id;
};

const coverage = { filters: [{ kind: 'organization', hash: FILTERS, text: '' }], everyMs: DAY_MS, lookMs: 0 };

/** A walk whose end is claimed, with its requests. */
const readWindow = async (source: string, fromMs: number, toMs: number, dateMs = toMs) => {
  await commit(world.pool, await takeLease(world.pool, source), [entryText(`${source}-${fromMs}`, fromMs)], {
    claims: [[{ fromMs, toMs }]],
    reads: readsOf(fromMs, toMs, dateMs),
  });
};

test('holds, drops, a held month, changed content: stated, and both verifiers agree', async () => {
  await world.allowDrops();
  await world.build();
  await world.addEvents(30, 'early', { source: 'b', fromMs: Date.UTC(2025, 0, 5) });
  await world.addEvents(300, 'a');
  await world.addEvents(20, 'february', { source: 'b', fromMs: Date.UTC(2025, 1, 5) });
  const held = await hold('2025-02-01', 'b');
  await commit(world.pool, await takeLease(world.pool, 'a'), [entryText('a-1', T0 + 1_000, { other: 'content' })]);
  await world.build();
  expect(await world.drop('2025-01')).toBeNull();
  expect(await world.drop('2025-02')).toMatch(/hold .* covers events/);
  await world.build();
  await world.pool.query('update holds set released_at = clock_timestamp(), released_as = session_user');
  await world.build();
  expect(await world.drop('2025-02')).toBeNull();
  await world.build();
  const types = (await world.statements()).map(({ type }) => type);
  expect(types).toEqual(['begin', 'source', 'hold', 'source', 'change', 'drop', 'hold', 'drop']);
  expect((await world.statements())[2]).toMatchObject({ id: held, source: 1, action: 'added' });
  const { node } = await sound([await newestNote(world.pool)]);
  expect(node.verdict).toBe('the evidence holds');
});

test('coverage lies within what was asked, never shrinks, and is of the leaves below it', async () => {
  await world.build();
  await world.addEvents(3, 'a');
  const [from, to] = [T0 - 3 * DAY_MS, T0 - 2 * DAY_MS];
  await readWindow('a', from, to);
  await readWindow('a', to, to + 10_000, to + 5_000);
  await world.build({ coverage });
  const [first] = (await world.statements()).filter(({ type }) => type === 'coverage');
  expect(first).toMatchObject({ source: 1, adopted: [], rows: { first: 1, last: 2 }, events: 5, leaves: 6 });
  // What was claimed beyond the answer's own Date is not stated.
  const text = (ms: number) => new Date(ms).toISOString().replace('Z', '000Z');
  expect(first.read).toEqual([[text(from), text(to + 5_000)]]);
  await sound();
  // A superuser widens it: not stated, and said.
  await world.pool.query(`update coverage set proven = proven + '{[2020-01-01 00:00Z,2020-06-01 00:00Z)}'`);
  await readWindow('a', to + 10_000, to + 20_000);
  await world.pool.query("update evidence_coverage set stated_at = stated_at - interval '2 days'");
  await world.build({ coverage });
  const second = (await world.statements()).filter(({ type }) => type === 'coverage').at(-1);
  expect(second.read).toEqual([
    [text(from), text(to + 5_000)],
    [text(to + 10_000), text(to + 20_000)],
  ]);
  expect((await world.status()).heldBack).toBe(1);
  expect(await verifyTree(world.pool)).toEqual([expect.stringContaining('no request is recorded')]);
  // Taken away, it is less than was stated: not stated at all until it is read again.
  await world.pool.query(`update coverage set proven = '{}'`);
  await world.pool.query("update evidence_coverage set stated_at = stated_at - interval '2 days'");
  await world.build({ coverage });
  expect((await world.statements()).filter(({ type }) => type === 'coverage')).toHaveLength(2);
  expect(await verifyTree(world.pool)).toEqual([expect.stringContaining('less than was stated')]);
  await judgedSound((await world.export()).folder);
});

test('a log that begins later adopts what is stored, and what was read before', async () => {
  await world.addEvents(5, 'a');
  await world.read('a', 100, 200);
  await world.build({ coverage });
  const [begin] = await world.statements();
  expect(begin).toMatchObject({ type: 'begin', adopted_position: 105, number: 1 });
  const stated = (await world.statements()).find(({ type }) => type === 'coverage');
  expect(stated.adopted).toEqual(stated.read);
  expect(stated.read).toHaveLength(1);
  await sound();
});

test.each(['rotation', 'lost', 'compromised'] as const)('another key: %s', async (reason) => {
  const after = newSigner();
  await world.addEvents(5, 'a');
  await world.build();
  const before = await newestNote(world.pool);
  await orderNewKey(world.pool, after, reason);
  if (reason === 'rotation') {
    const both = world.open({ nextSigner: after });
    await both.build();
    expect(await signersOfNewest(world.pool)).toEqual(await idsOf(world.pool, after, world.signer));
  } else {
    await expect(world.build()).rejects.toThrow(reason);
    await world.open({}, after).build();
    expect(await signersOfNewest(world.pool)).toEqual(await idsOf(world.pool, after));
  }
  // The new key alone is enough, the old one is not.
  await world.addEvents(2, 'b');
  await world.open({}, after).build();
  await expect(world.build()).rejects.toThrow('has only the old one');
  const { folder } = await world.export({ publicKeys: [after.publicKey] });
  const { node, python } = await judge(folder, [before]);
  expect([node.faults, python.faults]).toEqual([[], []]);
  await world.stop();
  const begun = next(world.pool, world.signer);
  if (reason === 'compromised') await expect(begun).rejects.toThrow('this key was stated as compromised');
  else await begun;
});

test('the restore of an older dump: behind, and the next log says what is lost', async () => {
  const room = world.room.folder;
  const restore = await rememberForRewind(world.pool, ['holds']);
  const builder = openAnchoringBuilder(world.pool, world.signer, [directoryAnchor(room)]);
  await world.addEvents(300, 'a');
  await builder.build();
  await builder.anchor();
  const early = await newestNote(world.pool);
  const toHere = await rememberForRewind(world.pool, ['holds']);
  const lost = await hold('2026-01-01');
  await world.addEvents(400, 'lost', { fromMs: T0 + 1_000_000 });
  await builder.build();
  await builder.anchor();
  const late = await newestNote(world.pool);
  await toHere();
  await world.pool.query('select setval(pg_get_serial_sequence($1, $2), 100)', ['holds', 'id']);

  const again = openAnchoringBuilder(world.pool, world.signer, [directoryAnchor(room)]);
  expect((await again.build()).kind).toBe('stopped');
  expect(again.stops).toEqual([expect.stringMatching(/^behind: a checkpoint of 703 leaves is kept at file:/)]);
  await world.addEvents(50, 'after', { source: 'c', fromMs: T0 + 2_000_000 });
  const store = createEvidenceStore(world.pool, 'next', 0);
  const log = await store.readLog();
  const anchored = await readConfiguredAnchors(
    world.pool,
    { anchors: [{ kind: 'file', name: `file:${room}`, directory: room }], s3: {} as never },
    [],
    {
      base: BASE,
      feedId: log?.feedId ?? '',
      number: 1,
      publicKeys: [world.signer.publicKey],
      isHeld: (known) => isInTree(store, log?.size ?? 0, known),
    },
  );
  const options = { known: anchored.notes, statements: anchored.statements };
  await expect(next(world.pool, world.signer, options)).rejects.toThrow(`hold ${lost}`);
  const begun = await next(world.pool, world.signer, { ...options, withoutHolds: true });
  expect(begun).toMatchObject({ number: 2, carried: 302, knownSize: 703, lost: 401 });
  expect((await again.build()).kind).toBe('done');
  await again.anchor();
  const [begin] = (await world.statements()).filter(({ type, number }) => type === 'begin' && number === 2);
  expect(begin).toMatchObject({ index: 302, carried: 302, lost_holds: [lost], previous: late });
  expect(readdirSync(join(room, 'log-2/checkpoints'))).toHaveLength(1);

  // What was kept of what is carried holds; what was kept of what is lost is a fault, whatever is stated.
  const { folder } = await world.export();
  const { node } = await judgedSound(folder, [early]);
  expect(node.first.join()).toContain('401 leaves of log 1 are lost');
  const judged = await judge(folder, [late]);
  expect([judged.node.holds, judged.python.holds]).toEqual([false, false]);
  await restore();
});

test('yesterday’s dump with 20,000 events: going on costs a leaf, and a bundle has few files', async () => {
  await world.addEvents(10_000, 'a');
  await world.addEvents(10_000, 'b', { source: 'b', fromMs: T0 + 20_000_000 });
  await world.build();
  // The jump of positions behind a dump of a day ago.
  await world.pool.query('update feed_head set position = position + 2160000000');
  await world.stop();
  const bytes = async () =>
    (
      await world.pool.query<{ bytes: number }>(
        `select sum(pg_total_relation_size(oid))::float8 as bytes from pg_class where relname ~ '^evidence_' and relkind = 'r'`,
      )
    ).rows[0]?.bytes ?? 0;
  const [before, startedMs] = [await bytes(), performance.now()];
  await next(world.pool, world.signer);
  await world.addEvents(10, 'after', { source: 'b', fromMs: T0 + 40_000_000 });
  await world.build();
  const [tookMs, wrote] = [performance.now() - startedMs, (await bytes()) - before];
  console.log(`going on: ${Math.round(tookMs)} ms, ${Math.round(wrote / 1_000)} kB`);
  expect(wrote).toBeLessThan(1_000_000);
  const { files, folder } = await world.export();
  expect(files).toBeLessThan(300);
  await judgedSound(folder);
});

test('a log that was ended takes no leaf, and the next one goes on after it', async () => {
  await world.addEvents(5, 'a');
  await world.build();
  await endLog(world.pool, createEvidenceStore(world.pool, 'end', 0), { reason: 'over', by: 'J. Doe', isStated: true });
  await world.addEvents(2, 'b');
  expect((await world.build()).kind).toBe('stopped');
  expect(await world.status()).toMatchObject({ state: 'ended', size: 8, signedSize: 8, lagEvents: 2 });
  await sound([await newestNote(world.pool)]);
  expect(await next(world.pool, world.signer)).toMatchObject({ number: 2, carried: 8, lost: 0 });
  expect((await world.build()).kind).toBe('done');
  expect(await world.status()).toMatchObject({ state: 'ok', number: 2, size: 11, lagEvents: 0 });
  await sound();
});

test('the tables of evidence begun again beside an anchor of before: nothing is signed', async () => {
  const room = world.room.folder;
  await world.addEvents(5, 'a');
  const builder = openAnchoringBuilder(world.pool, world.signer, [directoryAnchor(room)]);
  await builder.build();
  await builder.anchor();
  await world.pool.query(
    'truncate evidence_log, evidence_tiles, evidence_statements, evidence_sources, evidence_checkpoints, evidence_anchors',
  );
  await world.pool.query('update feed_head set feed_id = gen_random_uuid()');
  const again = openAnchoringBuilder(world.pool, world.signer, [directoryAnchor(room)]);
  await again.build();
  expect(again.stops).toEqual([expect.stringMatching(/^halted: file:.* of another feed/)]);
});
