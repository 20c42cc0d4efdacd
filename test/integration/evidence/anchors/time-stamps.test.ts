import { createHash } from 'node:crypto';
import { afterAll, expect, test } from 'vitest';
import { timeStampRequest, timeStampsOf } from '../../../../src/evidence/anchors/time-stamps.ts';
import { isUnanchored } from '../../../../src/evidence/stored/evidence-status.sql.ts';
import { openAnchoringBuilder } from '../../../support/evidence/anchors/anchoring-builder.ts';
import { startAuthority, type TestAuthority } from '../../../support/evidence/anchors/time-stamping-authority.ts';
import { worldOfAllTests } from '../../../support/evidence/evidence-world.ts';
import { rowsOf } from '../../../support/postgres/rows.ts';

let authority: TestAuthority;
const world = worldOfAllTests(async () => {
  authority = await startAuthority();
  await world.addEvents(1, 'one');
});
afterAll(() => authority?.[Symbol.asyncDispose]());

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
  expect(isUnanchored(await world.status())).toBe(false);

  await builder.build();
  const { rows } = await world.pool.query<{ text: string }>(
    `select text from evidence_journal where kind = 'timestamp'`,
  );
  expect(rows.map(({ text }) => JSON.parse(text))).toMatchObject([
    {
      anchor: 'tsa:test',
      token_sha256: createHash('sha256').update(stamp.receipt).digest('hex'),
      checkpoint: { origin: expect.stringMatching(/\/journal$/), size: stamp.size, root: stamp.note.split('\n')[2] },
    },
  ]);
  await world.verified();
});

test('the authority is not asked again before the interval, by another process either', async () => {
  const late = timeStampsOf({ name: 'tsa:test', url: authority.url, intervalMs: 3_600_000 });
  const note = (await stamps())[0]?.note ?? '';
  // One that was asked shortly before a restart is not asked a whole interval later, but as soon as it is time.
  expect(timeStampsOf({ name: 'tsa:test', url: authority.url, intervalMs: 86_400_000 }).intervalMs).toBe(3_600_000);
  const log = { log: 'journal', generation: 1, origin: '', size: 9, note, keptSize: 1, tilesSize: 0 } as const;
  expect(await late.keepCheckpoint({ ...log, keptSecondsAgo: 60 }, {} as never)).toBeUndefined();
  expect(await late.keepCheckpoint({ ...log, keptSecondsAgo: 3_601 }, {} as never)).toBeDefined();
});

test('an answer that is none is a failure', async () => {
  authority.failWith(503);
  const before = await stamps();
  await world.addEvents(1, 'more');
  const builder = open(10);
  await builder.build();
  await builder.anchor();
  expect(builder.failures).toEqual(['HTTP 503 from the time-stamping authority']);
  expect(await stamps()).toEqual(before);
});

const open = (intervalMs: number) =>
  openAnchoringBuilder(world.pool, world.signer, [timeStampsOf({ name: 'tsa:test', url: authority.url, intervalMs })]);

const stamps = () =>
  rowsOf<{ size: number; note: string; receipt: Buffer }>(
    world.pool,
    `select a.size::integer as size, c.note, a.receipt from evidence_anchors a join evidence_checkpoints c using (log, generation, size)
     where receipt is not null order by a.size`,
  );
