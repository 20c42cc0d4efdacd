import { beforeAll, describe, expect, test } from 'vitest';
import { createPool } from '../../../src/postgres/pool.ts';
import { migrateDatabase } from '../../../src/postgres/schema/migrate.ts';
import { createLogin } from '../../support/accounts/login.ts';
import { followWith, tailingTools } from '../../support/feed/tailing-tools.ts';
import { startCluster } from '../../support/postgres/postgres-cluster.ts';
import { addSources, commit, entryText, T0, takeLease } from '../../support/postgres/store-fixture.ts';
import { ofAllTests } from '../../support/process/of-tests.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';

const SEED = 606;

// A server of its own: roles belong to the whole server, and other tests make and drop these.
const cluster = ofAllTests(startCluster);
let name: string;
beforeAll(async () => {
  ({ name } = await cluster.createDatabase());
});
const pool = ofAllTests(() => createPool(cluster.url(name), 8, () => {}));
const reader = ofAllTests(async () => {
  await migrateDatabase(pool, { roles: true });
  await addSources(pool, SOURCES);
  return await createLogin({ url: cluster.url(name), pool }, ['orgtrail_reader']);
});

describe('tailing by position in SQL', () => {
  test(`as Logstash, Splunk DB Connect and Kafka Connect do it, beside four writers and new partitions, killed at random: every position once, in order (seed ${SEED}) (invariant 6)`, async () => {
    let written = false;
    const following = tailingTools.map((tool, index) =>
      followWith(tool, reader.url, seededRandom(SEED + index), () => written),
    );
    const random = seededRandom(SEED);
    const writing = SOURCES.map((source) => write(source, random));
    for (const month of ['2026-01-15', '2026-02-15', '2026-03-15']) {
      await pool.query('select orgtrail_create_partitions($1, $1)', [month]);
    }
    const sent = new Map((await Promise.all(writing)).flatMap((texts) => [...texts]));
    written = true;
    for (const [index, tailed] of (await Promise.all(following)).entries()) {
      const name = `${tailingTools[index]?.name} (seed ${SEED})`;
      expect(
        tailed.rows.map(({ position }) => position),
        name,
      ).toEqual(Array.from(sent, (_, n) => n + 1));
      expect(new Map(tailed.rows.map(({ id, raw }) => [id, raw])), name).toEqual(sent);
      expect(tailed.kills, name).toBeGreaterThan(0);
    }
  });
});

const SOURCES = ['a', 'b', 'c', 'd'];
const PAGES = 60;
const DAY_MS = 86_400_000;

/** Commits pages of random size over three months, with some entries that are known. Returns the entries' texts by id. */
const write = async (source: string, random: () => number): Promise<Map<string, string>> => {
  let lease = await takeLease(pool, source);
  const texts = new Map<string, string>();
  for (let page = 0; page < PAGES; page += 1) {
    const from = Math.max(0, texts.size - Math.floor(random() * 4));
    const entries = Array.from({ length: Math.floor(random() * 14) + 4 }, (_, index) => {
      const id = `${source}-${from + index}`;
      return [id, texts.get(id) ?? entryText(id, T0 + Math.floor(random() * 90) * DAY_MS)] as const;
    });
    for (const [id, text] of entries) texts.set(id, text);
    const result = await commit(
      pool,
      lease,
      entries.map(([, text]) => text),
    );
    if (result.kind !== 'committed') throw new Error('fenced');
    lease = result.lease;
  }
  return texts;
};
