import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { readFeedHead } from '../../../src/feed/feed-head.sql.ts';
import { FeedReader } from '../../../studies/chaos/readers/feed-reader.ts';
import type { FeedLine } from '../../../studies/chaos/readers/http-feed-lines.ts';
import { HttpFeedReader } from '../../../studies/chaos/readers/http-feed-reader.ts';
import { FeedFollower } from '../../support/feed/feed-follower.ts';
import { freePorts } from '../../support/network/free-ports.ts';
import { firstValue } from '../../support/postgres/rows.ts';
import { type OrgtrailProcess, startOrgtrail } from '../../support/process/orgtrail-process.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';
import { until } from '../../support/process/until.ts';
import { openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

const SEED = 4;
const KILLS = 4;

test(`readers over SQL, over HTTP and by feed --follow, several writers, replicas killed ${KILLS} times (seed ${SEED}): each position once (invariant 6)`, async () => {
  await using world = await openWorld({ seed: SEED, organizations: 20, entries: 4_000, liveRate: 40, faults: 'all' });
  await using scene = await openScene(world);
  const { sqlReader, httpReader, follower, rawTexts } = scene;
  const random = seededRandom(SEED);
  await until('all replicas write at once', async () => (await countWriters(world)) === REPLICAS);
  for (let kills = 0; kills < KILLS; kills += 1) {
    const before = [sqlReader.rows, httpReader.events, follower.events.length];
    await until(`all readers get further (kill ${kills}, ${before})`, async () => {
      expect([...sqlReader.violations, ...httpReader.violations, ...follower.faults]).toEqual([]);
      const now = [sqlReader.rows, httpReader.events, follower.events.length];
      return now.every((count, index) => count >= (before[index] ?? 0) + EVENTS_BETWEEN_KILLS);
    });
    const port = kills % 2 === 0 ? await portInBody(httpReader) : undefined;
    await scene.killReplica(port ?? scene.ports[Math.floor(random() * REPLICAS)] ?? 0);
    if (kills % (KILLS / KILLS_OF_FOLLOWER) === 1) await follower.restart();
  }
  const last = await scene.endWriting();
  expect(last).toBeGreaterThan(KILLS * EVENTS_BETWEEN_KILLS);

  expect(await httpReader.finish(TIMEOUT_MS)).toBe(true);
  await sqlReader.finish();
  await until('the follower has the end', async () => (follower.events.at(-1)?.position ?? 0) >= last);
  expect(await follower.end()).toBe(143);

  const counts = `${JSON.stringify(httpReader.counts)}, ${last} events`;
  console.log(counts);
  expect([sqlReader.violations, sqlReader.rows], 'over SQL').toEqual([[], last]);
  httpReader.compare(sqlReader.events);
  expect([httpReader.violations, httpReader.events], `over HTTP: ${counts}`).toEqual([[], last]);
  expect(httpReader.counts.cut + httpReader.counts.left, 'bodies that were not read to their end').toBeGreaterThan(0);
  expect([...follower.faults, ...misplaced(follower.events)], 'feed --follow').toEqual([]);
  expect(follower.events.length).toBe(last);
  const stored = await storedTexts(world);
  expect(digestOf(rawTexts), 'all texts over HTTP, one after the other').toBe(digestOf(stored));
  expect(digestOf(follower.events.map(({ rawText }) => rawText)), 'and by feed --follow').toBe(digestOf(stored));
});

/** Three daemons and three readers, all at work. Leaving the scope ends them. */
const openScene = async (world: SyncWorld) => {
  const ports = await freePorts(REPLICAS);
  const env = { ...world.env, ORGTRAIL_CONCURRENCY: '1', ORGTRAIL_SCHEDULE: '* * * * * *', ORGTRAIL_LEASE: '2s' };
  const start = (port: number) => startOrgtrail(['run'], { ...env, ORGTRAIL_HTTP_PORT: String(port) });
  const replicas = ports.map(start);
  const rawTexts: string[] = [];
  const sqlReader = new FeedReader(world.database.url, seededRandom(SEED + 1));
  const httpReader = new HttpFeedReader({
    ports,
    random: seededRandom(SEED + 2),
    formats: ['native'],
    onEvent: (rawText) => rawTexts.push(rawText ?? ''),
  });
  const follower = new FeedFollower({ DATABASE_URL: world.database.daemonUrl });
  const reading = new AbortController();
  const followed = Promise.all([sqlReader.follow(reading.signal), httpReader.follow(reading.signal)]);
  const stopReading = async () => {
    reading.abort();
    await followed;
  };
  const kill = async ({ child, ended }: OrgtrailProcess) => {
    child.kill('SIGKILL');
    await ended;
  };
  return {
    ports,
    sqlReader,
    httpReader,
    follower,
    rawTexts,
    /** SIGKILL of the one that serves at the port, and another one in its place. */
    killReplica: async (port: number): Promise<void> => {
      const index = ports.indexOf(port);
      const replica = replicas[index];
      if (replica !== undefined) await kill(replica);
      replicas[index] = start(port);
    },
    /** Ends the daemons and Cloudflare, and the reading; then one daemon serves what there is. Returns the last position. */
    endWriting: async (): Promise<number> => {
      for (const { child } of replicas) child.kill('SIGTERM');
      await Promise.all(replicas.map(({ ended }) => ended));
      await stopReading();
      await world.simulator.close();
      const serving = start(ports[0] ?? 0);
      replicas.splice(0, REPLICAS, serving);
      await serving.waitFor('orgtrail started');
      return (await readFeedHead(world.database.pool)).position;
    },
    [Symbol.asyncDispose]: async (): Promise<void> => {
      await stopReading();
      await Promise.all([...replicas.map(kill), follower.end()]);
    },
  };
};

/** The replica in the middle of whose answer the reader has stopped reading; undefined where that takes too long to come. */
const portInBody = async (httpReader: HttpFeedReader): Promise<number | undefined> => {
  for (let looks = 0; looks < 1_500 && httpReader.stalledAtPort === undefined; looks += 1) await sleep(20);
  return httpReader.stalledAtPort;
};

/** How many replicas walk a source by now; each of them walks one at a time. */
const countWriters = (world: SyncWorld): Promise<number> =>
  firstValue<number>(
    world.database.pool,
    'select count(distinct lease_owner)::integer as writers from sources where lease_until > clock_timestamp()',
  );

const storedTexts = async (world: SyncWorld): Promise<string[]> => {
  const { rows } = await world.database.pool.query<{ text: string }>(
    'select raw::text as text from audit_events order by position',
  );
  return rows.map(({ text }) => text);
};

const digestOf = (texts: readonly (string | undefined)[]): string =>
  createHash('sha256').update(texts.join('\n')).digest('hex');

/** The first few that are not where they have to be, with what stands there. */
const misplaced = (events: readonly FeedLine[]): string[] =>
  events.flatMap(({ position }, index) => (position === index + 1 ? [] : [`${position} for ${index + 1}`])).slice(0, 5);

const REPLICAS = 3;
const KILLS_OF_FOLLOWER = 2;
/** Between two kills each reader gets further by so much, so that each kill falls into the reading. */
const EVENTS_BETWEEN_KILLS = 100;
const TIMEOUT_MS = 600_000;
