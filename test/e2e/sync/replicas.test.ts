import { describe, expect, test } from 'vitest';
import { retryDeadlocks } from '../../support/postgres/retry-deadlocks.ts';
import { type OrgtrailProcess, startOrgtrail } from '../../support/process/orgtrail-process.ts';
import { until } from '../../support/process/until.ts';
import {
  type AuditRequest,
  asAuditRequest,
  auditRequests,
  openWorld,
  type SyncWorld,
} from '../../support/sync/sync-world.ts';

describe.concurrent('replicas on one database', () => {
  test('five: never above the budget together, no source walked by two at once, all complete (invariant 11)', async () => {
    const n = 5;
    // 2,000 in 5 minutes: 200 at once, then 5.9 a second.
    const budget = 2_000;
    await using world = await openWorld({
      host: '0.0.0.0',
      organizations: 15,
      entries: 3_600,
      pageCap: 20,
      liveRate: 10,
      // They begin together, however long each takes to start.
      faults: { listing_403: 1 },
    });
    await using replicas = replicasOf(world);
    const daemons = Array.from({ length: n }, (_, replica) =>
      replicas.start(replica, { ORGTRAIL_API_BUDGET: String(budget) }),
    );
    await Promise.all(daemons.map((daemon) => daemon.waitFor('orgtrail started')));
    world.simulator.faults.set({ listing_403: null });
    await until('the history is stored', async () => (await world.compare()).stored >= 3_600);
    const all = world.simulator.requests();
    const audits = auditRequests(world.simulator);
    const timesMs = all.map(({ timeMs }) => timeMs).sort((a, b) => a - b);
    const perSecond = (budget - budget / 10) / 305;
    for (const seconds of [1, 5, 10, 20, 300]) {
      expect(mostWithin(timesMs, seconds * 1_000)).toBeLessThanOrEqual(
        // And what each worker has been let do, and a busy machine keeps until later.
        budget / 10 + Math.ceil(seconds * perSecond) + 8 + 2 * n,
      );
    }
    expect(timesMs.length, 'the budget was in use').toBeGreaterThan(200);
    expect(together(audits)).toEqual([]);
    expect(cursorsOfTwo(audits)).toEqual([]);
    const shares = Array.from(
      { length: n },
      (_, replica) => audits.filter((each) => replicaOf(each) === replica).length,
    );
    expect(Math.min(...shares), `shares ${shares}`).toBeGreaterThan(audits.length / n / 5);
    const listings = all.filter(isListing);
    const seconds = ((timesMs.at(-1) ?? 0) - (timesMs[0] ?? 0)) / 1_000;
    console.log(
      `${n} replicas: ${all.length} requests in ${Math.round(seconds)} s, shares ${shares}, ${listings.length} of listings`,
    );
    // One listing, of one page, for each tick of a second, and not one for each replica.
    expect(listings.length).toBeLessThanOrEqual(seconds + 5);
  });

  test('killed (SIGKILL): its sources go on at another within lease + tick, also if no replica can know that it is dead', async () => {
    await using world = await openSlowWorld();
    await using replicas = replicasOf(world);
    const killed = replicas.start(0);
    await until(
      'it walks every source',
      async () => (await holders(world)).filter((owner) => owner !== null).length === 3,
    );
    const survivor = replicas.start(1);
    await survivor.waitFor('orgtrail started');
    killed.child.kill('SIGKILL');
    await killed.ended;
    const killedAtMs = Date.now();
    // On this host a replica sees that the process is gone. On another one it has only the lease.
    await retryDeadlocks(() =>
      world.database.pool.query("update sources set lease_owner = 'elsewhere/1/x' where lease_until is not null"),
    );
    const taken = takenBy(world, 1);
    const leaseEndMs = await lastLeaseEnd(world);
    await until('the survivor asks for all three', async () => taken.size === 3);
    console.log(
      `taken over ${Date.now() - killedAtMs} ms after SIGKILL, with a lease of ${LEASE_MS} and a tick of ${TICK_MS}`,
    );
    const ticks = world.simulator.requests().filter((request) => isListing(request) && request.timeMs > leaseEndMs);
    expect(ticks.length, 'ticks since the lease ended: that tick, or the next one').toBeLessThanOrEqual(3);
    world.simulator.faults.set({ preset: 'none' });
    await until('all of it is stored', async () => (await world.compare()).missing === 0);
    await world.expectExactTruth();
  });

  test('an answer that takes two leases keeps its source: the other replica does not ask for it (invariant 7)', async () => {
    await using world = await openSlowWorld(2 * LEASE_MS);
    await using replicas = replicasOf(world);
    for (const replica of [0, 1]) replicas.start(replica);
    // Each answer takes twice as long as a lease.
    await until('pages of history are stored', async () => (await world.compare()).stored >= 60);
    expect(together(auditRequests(world.simulator))).toEqual([]);
    expect(cursorsOfTwo(auditRequests(world.simulator))).toEqual([]);
  });

  test('paused (SIGSTOP) for longer than a lease: what it still has under way writes nothing, and it goes on (invariant 7)', async () => {
    await using world = await openSlowWorld();
    await using replicas = replicasOf(world);
    const paused = replicas.start(0);
    await until(
      'it walks every source',
      async () => (await holders(world)).filter((owner) => owner !== null).length === 3,
    );
    paused.child.kill('SIGSTOP');
    const taken = takenBy(world, 1);
    const other = replicas.start(1);
    await until('the other one asks for all three', async () => taken.size === 3);
    const asked = world.simulator.requestCount;
    paused.child.kill('SIGCONT');
    // Lease lost while the page came; lease lost before the write; or the timer of the attempt ran before the bytes were read.
    await until('what it had under way is dropped', async () =>
      /lease expired|commit rejected|the whole attempt was not done/.test(paused.stdout()),
    );
    world.simulator.faults.set({ preset: 'none' });
    await until('all of it is stored', async () => (await world.compare()).missing === 0);
    await world.expectExactTruth();
    expect(together(auditRequests(world.simulator, asked))).toEqual([]);
    other.child.kill('SIGTERM');
    expect(await other.ended).toBe(143);
  });
});

/** Three organizations whose pages take their time: there is always one under way. */
const openSlowWorld = (slowBodyMs = 2_000): Promise<SyncWorld> =>
  openWorld(
    { host: '0.0.0.0', faults: { slow_body: { probability: 1, operation: 'audit' }, slowBodyMs } },
    { ORGTRAIL_CONCURRENCY: '3' },
  );

const isListing = ({ path }: { readonly path: string }): boolean =>
  /\/organizations\?/.test(path) && !/parent/.test(path);

/** By the clock of the simulator's requests. */
const lastLeaseEnd = async (world: SyncWorld): Promise<number> => {
  const { rows } = await world.database.pool.query<{ ms: number }>(
    'select (extract(epoch from max(lease_until) - clock_timestamp()) * 1000)::float8 as ms from sources',
  );
  return world.simulator.summary().nowMs + (rows[0]?.ms ?? 0);
};

/** Who holds each source by now. */
const holders = async (world: SyncWorld): Promise<(string | null)[]> => {
  const { rows } = await world.database.pool.query<{ owner: string | null }>(
    'select case when lease_until > clock_timestamp() then lease_owner end as owner from sources order by id',
  );
  return rows.map(({ owner }) => owner);
};

const LEASE_MS = 6_000;
const TICK_MS = 1_000;

/** Each replica knows the simulator by a loopback address of its own, so that the request log tells them apart. */
const hostOf = (replica: number): string => `127.0.0.${10 + replica}`;

/** Replicas of a test, which end with it. */
const replicasOf = (world: SyncWorld) => {
  const running: OrgtrailProcess[] = [];
  return {
    start: (replica: number, env: Record<string, string> = {}): OrgtrailProcess => {
      const baseUrl = new URL(world.simulator.baseUrl);
      baseUrl.hostname = hostOf(replica);
      const daemon = startOrgtrail(['run'], {
        ...world.env,
        CLOUDFLARE_BASE_URL: baseUrl.href,
        ORGTRAIL_HTTP_PORT: '0',
        ORGTRAIL_LEASE: `${LEASE_MS / 1_000}s`,
        ORGTRAIL_SCHEDULE: '* * * * * *',
        ...env,
      });
      running.push(daemon);
      return daemon;
    },
    [Symbol.asyncDispose]: async (): Promise<void> => {
      for (const { child } of running) child.kill('SIGKILL');
      await Promise.all(running.map(({ ended }) => ended));
    },
  };
};

const replicaOf = (request: { readonly host: string }): number => Number(/\.(\d+):/.exec(request.host)?.[1]) - 10;

/** The requests for one source that two replicas had under way at once. */
const together = (requests: readonly AuditRequest[]): string[] => {
  const found: string[] = [];
  const latest = new Map<string, AuditRequest>();
  for (const request of requests.toSorted((a, b) => a.timeMs - b.timeMs)) {
    const before = latest.get(request.organizationId);
    if (before !== undefined && before.host !== request.host && (before.endedMs ?? Infinity) > request.timeMs) {
      found.push(`${request.organizationId}: ${before.path} and ${request.path}`);
    }
    if ((request.endedMs ?? Infinity) >= (before?.endedMs ?? 0)) latest.set(request.organizationId, request);
  }
  return found;
};

/** Pages of a walk that another replica asked for, too: each cursor belongs to one holder of the lease. */
const cursorsOfTwo = (requests: readonly AuditRequest[]): string[] => {
  const askedBy = new Map<string, string>();
  return requests.flatMap(({ cursor, host }) => {
    if (cursor === null) return [];
    const first = askedBy.get(cursor) ?? host;
    askedBy.set(cursor, first);
    return first === host ? [] : [cursor];
  });
};

/** The organizations that a replica asks for from now on. */
const takenBy = (world: SyncWorld, replica: number): ReadonlySet<string> => {
  const taken = new Set<string>();
  world.simulator.onRequest((record) => {
    const request = asAuditRequest(record);
    if (request !== undefined && replicaOf(request) === replica) taken.add(request.organizationId);
  });
  return taken;
};

/** The most requests that any stretch of this length saw. */
const mostWithin = (timesMs: readonly number[], windowMs: number): number => {
  let most = 0;
  for (let from = 0, to = 0; to < timesMs.length; to += 1) {
    while ((timesMs[to] ?? 0) - (timesMs[from] ?? 0) >= windowMs) from += 1;
    most = Math.max(most, to - from + 1);
  }
  return most;
};
