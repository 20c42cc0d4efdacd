import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { createSinkCheckpoints } from '../../../src/evidence/anchors/sink-checkpoints.sql.ts';
import { keyOfLog } from '../../../src/evidence/builder/sign-log.ts';
import { parseNote, verifyNote } from '../../../src/evidence/notes/signed-note.ts';
import { isUnanchored, readEvidenceStatus } from '../../../src/evidence/stored/evidence-status.sql.ts';
import type { Delivery } from '../../../src/sinks/delivery.ts';
import { checkpointDelivery } from '../../../src/sinks/stream/deliver-checkpoint.ts';
import { newSigner, openBuilder } from '../../support/evidence/builder-world.ts';
import { commit, entryText, newSource, T0, takeLease } from '../../support/postgres/store-fixture.ts';
import { until } from '../../support/process/until.ts';
import { createTestSink, type TestSink, useSinkDatabase } from '../../support/sinks/delivery-fixture.ts';
import { startWebhookReceiver } from '../../support/sinks/http/http-receivers.ts';
import { credentials, httpSinks } from '../../support/sinks/http/http-sinks.ts';

const signer = newSigner();
const { pool, register, status, work } = useSinkDatabase(async (pool) => {
  await commit(pool, await newSource(pool, 'a'), [entryText('one', T0), entryText('two', T0 + 1)]);
});

test('a sink gets a record of the newest checkpoints, with notes that verify, once for each that is new', async () => {
  await register('siem');
  expect(await checkpoints().due('siem')).toBeUndefined();
  await build();
  const sink = createTestSink();
  await using _ = work('siem', sink, { hasCheckpoints: true, checkpoints: checkpoints() });
  await until('events and a record', async () => sink.deliveries.length === 2 && (await anchor('siem'))?.size === 2);
  const records = recordsOf(sink);
  expect(records).toHaveLength(1);
  const [record] = records.map(recordOf);
  expect(record).toMatchObject({ generation: 1, events: { size: 2 } });
  for (const log of ['events', 'journal']) {
    const { rows } = await pool().query(
      'select note from evidence_checkpoints where log = $1 order by size desc limit 1',
      [log],
    );
    expect(record[log].note).toBe(rows[0].note);
    expect(record[log].root).toBe(record[log].note.split('\n')[2]);
  }
  // A SIEM is a place outside the database: it counts as an anchor, as long as the settings have it.
  const evidence = await readEvidenceStatus(pool());
  expect(evidence && isUnanchored(evidence)).toBe(false);
  expect(await checkpoints().due('siem')).toBeUndefined();
});

test('a receiver that refuses it gets its events all the same; the reason is kept until it takes one', async () => {
  await register('picky');
  let refuses = true;
  const sink = createTestSink(({ checkpoint }) =>
    checkpoint !== undefined && refuses
      ? { kind: 'refused', reason: 'no s3cret here' }
      : { kind: 'delivered', refused: [] },
  );
  const told: string[] = [];
  const observer = { checkpointFailed: ({ reason }: { reason: string }) => void told.push(reason) };
  const start = () => work('picky', sink, { hasCheckpoints: true, checkpoints: checkpoints(), observer });
  {
    await using _ = start();
    await until('the events are there', async () => (await status('picky')).position === 2);
    await until('the reason is there', async () => (await anchor('picky'))?.error === 'no [redacted] here');
  }
  expect(told).toEqual(['no [redacted] here']);
  expect(await status('picky')).toMatchObject({ failures: 0, deadLetters: 0 });
  refuses = false;
  await using _ = start();
  await until('it is taken', async () => (await anchor('picky'))?.size === 2);
  expect(await anchor('picky')).toMatchObject({ error: null, isOfEvents: true });
});

test('a sink that does not ask for it gets none', async () => {
  await register('silent');
  const sink = createTestSink();
  await using _ = work('silent', sink, { checkpoints: checkpoints() });
  await until('the events are there', async () => (await status('silent')).position === 2);
  expect(recordsOf(sink)).toEqual([]);
});

test('a webhook gets it as a type of its own, signed, with a header as answers of the feed have', async () => {
  await register('hook');
  const due = await checkpoints().due('hook');
  if (due === undefined) throw new Error('nothing is due');
  await using receiver = await startWebhookReceiver();
  const sink = httpSinks.webhook(receiver);
  const outcome = await sink.deliver(checkpointDelivery(due), new AbortController().signal);
  await sink.close();
  expect(outcome).toEqual({ kind: 'delivered', refused: [] });
  const [request] = receiver.requests;
  const headers = request?.headers as Record<string, string>;
  const { type, data } = new Webhook(credentials.webhookSecret).verify(request?.body ?? '', headers) as {
    type: string;
    data: { orgtrail_checkpoint: { events: { size: number; root: string; note: string } } };
  };
  const { events } = data.orgtrail_checkpoint;
  expect(type).toBe('orgtrail.checkpoint');
  expect(headers['orgtrail-evidence']).toBe(`2 ${events.root}`);
  const key = keyOfLog(due.events.origin, signer.publicKey);
  expect(verifyNote(parseNote(Buffer.from(events.note)), [key]).signers).toHaveLength(1);
  expect(receiver.received()).toEqual([]);
});

test('one that is new is due, but not before its time', async () => {
  await commit(pool(), await takeLease(pool(), 'a'), [entryText('three', T0 + 5)]);
  await build();
  expect((await checkpoints().due('siem'))?.events.size).toBe(3);
  expect(await createSinkCheckpoints(pool(), 600_000).due('siem')).toBeUndefined();
});

const build = () => openBuilder(pool(), signer).build();

/** Without a rest between two records. */
const checkpoints = () => createSinkCheckpoints(pool(), 0);

const anchor = async (name: string) =>
  (await readEvidenceStatus(pool()))?.anchors.find((one) => one.anchor === `sink:${name}`);

const recordOf = ({ events }: Delivery) => JSON.parse(events[0]?.text ?? '').orgtrail_checkpoint;

const recordsOf = ({ deliveries }: TestSink) => deliveries.filter(({ checkpoint }) => checkpoint !== undefined);
