import { expect, test } from 'vitest';
import { headBehindFailover } from '../../src/feed/head/head-behind-failover.ts';
import { createPool, type Pool } from '../../src/postgres/pool.ts';
import { prepareForDaemon } from '../support/accounts/daemon-account.ts';
import { startCluster, startStandby } from '../support/postgres/postgres-cluster.ts';
import { commitAll, entryText, newSource } from '../support/postgres/store-fixture.ts';
import { until } from '../support/process/until.ts';

test.each([1, 2])(
  'a reader whose events were lost is not told of another database if the standby is promoted behind statement %i',
  async (statements) => {
    await using primary = await startCluster();
    await using standby = await startStandby(primary, { asynchronous: true });
    const { name, url } = await primary.createDatabase();
    const daemonUrl = await prepareForDaemon(url, primary.url(name));
    const owner = createPool(url, 1, () => {});
    await commitAll(owner, await newSource(owner, 'o'), [['a', 'b', 'c'].map((id) => entryText(id))]);
    await owner.end();
    const has = (count: number) => async () => {
      const rows = await standby.sql('select count(*)::integer as events from audit_events', name).catch(() => []);
      return rows[0]?.['events'] === count;
    };
    await until('the standby has all that is kept', has(3));
    await primary.stop('immediate');
    const pool = createPool(standby.url(name, new URL(daemonUrl).username), 1, () => {});
    const watched = promotedBehind(pool, statements, () => standby.promote());
    const asked = headBehindFailover(watched, 8);
    if (statements === 1) expect((await asked).position).toBeGreaterThan(8);
    else await expect(asked).rejects.toMatchObject({ code: 'database_unreachable' });
    await pool.end();
  },
);

/** A pool whose server is promoted when so many of its statements have ended. */
const promotedBehind = (pool: Pool, statements: number, promote: () => Promise<void>): Pool => {
  let ended = 0;
  const query = async (...statement: unknown[]) => {
    const result = await (pool.query as (...statement: unknown[]) => Promise<unknown>)(...statement);
    ended += 1;
    if (ended === statements) await promote();
    return result;
  };
  return new Proxy(pool, { get: (target, name) => (name === 'query' ? query : Reflect.get(target, name)) });
};
