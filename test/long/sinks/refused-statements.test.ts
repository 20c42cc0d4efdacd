import { afterEach, describe, expect, test } from 'vitest';
import { createPool } from '../../../src/postgres/pool.ts';
import { createSinkTroubles } from '../../../src/sinks/sink-status.sql.ts';
import { commitAll, entryText, newSource, T0 } from '../../support/postgres/store-fixture.ts';
import { ofAllTests } from '../../support/process/of-tests.ts';
import { until } from '../../support/process/until.ts';
import { words } from '../../support/process/words.ts';
import { createTestSink, startSinkWorker, useSinkDatabase } from '../../support/sinks/delivery-fixture.ts';

const EVENTS = 250;

const { pool, daemonUrl, register, status } = useSinkDatabase(async (pool) => {
  const entries = Array.from({ length: EVENTS }, (_, n) => entryText(`entry-${n}`, T0 + n));
  await commitAll(pool, await newSource(pool, 'org'), [entries]);
});
/** As the daemon has it. */
const daemon = ofAllTests(() => createPool(daemonUrl(), 4, () => {}));
afterEach(() => give(...functions));

describe('with the account of the collector', () => {
  test.each(['orgtrail_claim_sink', 'orgtrail_begin_delivery', 'orgtrail_finish_delivery'])(
    'a right that is taken away, on %s, is a failure of the sink, and over once it is back',
    async (name) => {
      const sinkName = `without-${name.replaceAll('_', '-').slice(0, 20)}`;
      await register(sinkName);
      await take(name);
      const sink = createTestSink();
      await using _ = startSinkWorker(daemon, { name: sinkName, sink });
      await until('it fails', async () => (await status(sinkName)).failures >= 2);
      expect((await status(sinkName)).lastError).toMatch(taken);
      expect((await status(sinkName)).position).toBe(0);
      await give(name);
      await reachesEnd(sinkName);
      expect(sink.received().slice(-EVENTS)).toEqual(Array.from({ length: EVENTS }, (_, n) => n + 1));
      expect((await status(sinkName)).lastError).toBe(null);
    },
  );

  test('a sink that has all does not go on failing after a right was away for a while', async () => {
    await register('idle');
    await using _ = startSinkWorker(daemon, { name: 'idle', sink: createTestSink() });
    await reachesEnd('idle');
    await take('orgtrail_renew_sink');
    await until('it fails', async () => (await status('idle')).failures >= 1);
    await give('orgtrail_renew_sink');
    await reachesEnd('idle');
  });

  test('if the database refuses to note the failure as well, the process says it', async () => {
    await register('mute');
    await take(...functions);
    const troubles = createSinkTroubles();
    const sink = createTestSink();
    await using _ = startSinkWorker(daemon, { name: 'mute', sink, observer: troubles.observer });
    const shown = async () => troubles.addTo([await status('mute')])[0];
    await until('it fails', async () => ((await shown())?.failures ?? 0) >= 2);
    expect((await status('mute')).failures, 'the database does not know').toBe(0);
    expect((await shown())?.lastError).toMatch(taken);
    expect(sink.deliveries).toEqual([]);
    await give(...functions);
    await reachesEnd('mute');
    await until('the process knows that it is over', async () => (await shown())?.failures === 0);
  });

  test('the error of a connection that broke is not one of the sink', async () => {
    await register('broken');
    const troubles = createSinkTroubles();
    await using _ = startSinkWorker(daemon, { name: 'broken', sink: createTestSink(), observer: troubles.observer });
    await reachesEnd('broken');
    await pool().query(
      "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'orgtrail_test_daemon' and datname = current_database()",
    );
    await until('it goes on', async () => (await status('broken')).heldBy !== null);
    expect(await status('broken')).toMatchObject({ failures: 0, lastError: null });
  });
});

const taken = /permission denied for function orgtrail_(\w+)/;

const functions = words(`
  orgtrail_claim_sink orgtrail_begin_delivery orgtrail_finish_delivery orgtrail_skip_events orgtrail_renew_sink
  orgtrail_fail_delivery orgtrail_note_sink_failure`);

const take = (...names: readonly string[]) =>
  pool().query(`revoke execute on function ${names.join(', ')} from orgtrail_ingest`);

const give = (...names: readonly string[]) =>
  pool().query(`grant execute on function ${names.join(', ')} to orgtrail_ingest`);

const reachesEnd = (name: string) =>
  until(`${name} has all`, async () => {
    const { position, failures } = await status(name);
    return position === EVENTS && failures === 0;
  });
