import { createHash } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { timeStampRequest } from '../../../../src/evidence/anchors/time-stamp-request.ts';
import { timeStampsOf } from '../../../../src/evidence/anchors/time-stamps.ts';
import { isUnanchored, readEvidenceStatus } from '../../../../src/evidence/stored/evidence-status.sql.ts';
import { openAnchoringBuilder } from '../../../support/evidence/anchors/anchoring-builder.ts';
import { startAuthority, type TestAuthority } from '../../../support/evidence/anchors/time-stamping-authority.ts';
import { newSigner } from '../../../support/evidence/builder-world.ts';
import { verifyDatabase } from '../../../support/evidence/bundles/verify-database.ts';
import { createTestDatabase, type TestDatabase } from '../../../support/postgres/database.ts';
import { commit, entryText, newSource, T0 } from '../../../support/postgres/store-fixture.ts';

let database: TestDatabase;
let authority: TestAuthority;
const signer = newSigner();
beforeEach(async () => {
  [database, authority] = await Promise.all([createTestDatabase(), startAuthority()]);
  await commit(database.pool, await newSource(database.pool, 'a'), [entryText('one', T0)]);
});
afterEach(async () => {
  await authority?.[Symbol.asyncDispose]();
  await database?.close();
});

const open = (intervalMs: number) =>
  openAnchoringBuilder(database.pool, signer, [timeStampsOf({ name: 'tsa:test', url: authority.url, intervalMs })]);
const stamps = async () => {
  const { rows } = await database.pool.query<{ size: number; note: string; receipt: Buffer }>(
    `select a.size::integer as size, c.note, a.receipt from evidence_anchors a join evidence_checkpoints c using (log, generation, size)
     where receipt is not null order by a.size`,
  );
  return rows;
};

test('a request has 69 bytes, and openssl makes a token of it that it accepts for the checkpoint and for nothing else', async () => {
  expect(timeStampRequest(Buffer.from('text'), Buffer.alloc(8, 0xff)).der).toHaveLength(69);
  expect(timeStampRequest(Buffer.from('text'), Buffer.alloc(8)).der).toHaveLength(69);
  const builder = open(10);
  await builder.build();
  await builder.anchor();
  expect(builder.failures).toEqual([]);
  const [stamp] = await stamps();
  if (stamp === undefined) throw new Error('no time stamp');
  expect(await authority.verifies(stamp.receipt, Buffer.from(stamp.note))).toBe(true);
  expect(await authority.verifies(stamp.receipt, Buffer.from(`${stamp.note} `))).toBe(false);
  expect(isUnanchored((await readEvidenceStatus(database.pool)) ?? { anchors: [] })).toBe(false);

  await builder.build();
  const { rows } = await database.pool.query<{ text: string }>(
    `select text from evidence_journal where kind = 'timestamp'`,
  );
  expect(rows.map(({ text }) => JSON.parse(text))).toMatchObject([
    {
      anchor: 'tsa:test',
      token_sha256: createHash('sha256').update(stamp.receipt).digest('hex'),
      checkpoint: { origin: expect.stringMatching(/\/journal$/), size: stamp.size, root: stamp.note.split('\n')[2] },
    },
  ]);
  expect((await verifyDatabase(database.pool, signer)).faults).toEqual([]);
});

test('the authority is not asked again before the interval, by another process either', async () => {
  await open(10).build();
  await open(10).anchor();
  const before = await stamps();
  await database.pool.query('update evidence_logs set lease_until = null');
  await open(10).build();
  const late = timeStampsOf({ name: 'tsa:test', url: authority.url, intervalMs: 3_600_000 });
  const note = before[0]?.note ?? '';
  // One that was asked shortly before a restart is not asked a whole interval later, but as soon as it is time.
  expect(timeStampsOf({ name: 'tsa:test', url: authority.url, intervalMs: 86_400_000 }).intervalMs).toBe(3_600_000);
  const log = { log: 'journal', generation: 1, origin: '', size: 9, note, keptSize: 1, tilesSize: 0 } as const;
  expect(await late.keepCheckpoint({ ...log, keptSecondsAgo: 60 }, {} as never)).toBeUndefined();
  expect(await late.keepCheckpoint({ ...log, keptSecondsAgo: 3_601 }, {} as never)).toBeDefined();
});

test('an answer that is none is a failure', async () => {
  authority.failWith(503);
  const builder = open(10);
  await builder.build();
  await builder.anchor();
  expect(builder.failures).toEqual(['HTTP 503 from the time-stamping authority']);
  expect(await stamps()).toEqual([]);
});
