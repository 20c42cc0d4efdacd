import { createServer } from 'node:http';
import { describe, expect, test } from 'vitest';
import { listen } from '../../support/network/listen.ts';
import { createTestDatabase } from '../../support/postgres/database.ts';
import { startOrgtrail } from '../../support/process/orgtrail-process.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { until } from '../../support/process/until.ts';
import { expectClaimedImpliesStored, expectStoredOrVisible } from '../../support/sync/claims.ts';

const HOUR_MS = 3_600_000;

/** What an API answers rightly, out of these entries. The cursor is where the next page begins. */
const rightAnswer = (entries: readonly Entry[], question: Question, most = question.limit): Answer => {
  const { sinceMs, beforeMs, isDescending, cursor } = question;
  const found = entries.filter(({ timeMs }) => timeMs >= sinceMs && timeMs < beforeMs);
  if (isDescending) found.reverse();
  const from = Number(cursor ?? 0);
  const to = from + Math.min(most, question.limit);
  return { entries: found.slice(from, to), cursor: to < found.length ? String(to) : undefined };
};
/** The last page has a cursor, too, and it is refused. */
const trailingCursor: Lie = ({ number }, right) => ({ ...right, cursor: right.cursor ?? `end-${number}` });
/** A page of one entry has another cursor whenever it comes. */
const oneEndless: Lie = (question, right, entries) => {
  const all = rightAnswer(entries, { ...question, cursor: null });
  return all.entries.length === 1 ? { ...all, cursor: `more-${question.number}` } : right;
};

describe.concurrent('APIs that answer wrongly and look right', () => {
  test('errors beside a success', async () => {
    await using world = await openLyingWorld({
      healthy: { entries: 900 },
      errorsOnEarlyPages: { entries: 3_700, lie: errorsOnEarlyPages },
      errorsText: { entries: 1_700, lie: firstAnswers(6, { errors: 'upstream timed out' }) },
      errorsOnAll: { entries: 1_700, oldestMs: 500 * DAY_MS, lie: errorsOnAll },
      noSuccess: { entries: 1_700, lie: firstAnswers(6, notAuthenticated) },
    });
    const results = await syncAndJudge(world);
    expect(results.healthy.missing).toBe(0);
    expect(results.errorsOnAll.requests, 'measured: 14').toBeLessThan(100);
    await healAndJudge(world);
  });

  test.each([
    ['of empty pages', { entries: 950, lie: trailingCursor }, { requests: 400, holes: 0 }],
    // The second of the entry is told apart by filters, and no part of it ends, either.
    ['of pages of one entry', { entries: 1, oldestMs: HOUR_MS / 2, lie: oneEndless }, { requests: 800, holes: 1 }],
  ])('cursors %s that lead nowhere', async (_what, log: LyingLog, most) => {
    await using world = await openLyingWorld({ log });
    const { missing, holes, requests } = (await syncAndJudge(world)).log;
    expect(requests, 'measured: 121, and 252').toBeLessThan(most.requests);
    expect(holes).toBeLessThanOrEqual(most.holes);
    if (most.holes === 0) expect(missing).toBe(0);
    await healAndJudge(world);
  });

  test('questions that are lost, and pages that are cut', async () => {
    await using world = await openLyingWorld({
      large: { entries: 3_000 },
      newest7: { entries: 1_700, lie: newest(7) },
      newest40: { entries: 1_700, lie: newest(40) },
      cap60: { entries: 1_700, lie: newestOfWindow(60) },
      cap37: { entries: 1_700, lie: newestOfWindow(37) },
    });
    const results = await syncAndJudge(world);
    expect(results.large.missing).toBe(0);
    expect(results.newest7.holes).toBe(1);
    expect(results.newest7.requests, 'measured: 177').toBeLessThan(500);
    expect(results.newest40.requests, 'measured: 146').toBeLessThan(500);
  });

  test('the question is lost, of the only log', async () => {
    await using world = await openLyingWorld({ newest7: { entries: 1_700, lie: newest(7) } });
    await syncAndJudge(world);
  });

  test.each([
    { days: 1, historyDays: 60 },
    { days: 31, historyDays: 540 },
  ])('windows over $days days are answered with nothing', async ({ days, historyDays }) => {
    const history = { oldestMs: (historyDays - 1) * DAY_MS, youngestMs: 5 * HOUR_MS };
    await using world = await openLyingWorld(
      {
        silent: { entries: 0 },
        wide: { entries: 900, ...history, lie: emptyIfWider(days * DAY_MS) },
      },
      { ORGTRAIL_HISTORY: `${historyDays}d` },
    );
    const results = await syncAndJudge(world);
    expect(results.silent).toMatchObject({ missing: 0, holes: 0 });
    expect(results.silent.requests).toBeLessThanOrEqual(6);
  });

  test('history that appears after it has been read', async () => {
    const lateHistory = { oldestMs: 530 * DAY_MS, youngestMs: 5 * 60_000 };
    await using world = await openLyingWorld(
      {
        emptyAtFirst: { entries: 900, ...lateHistory, lie: emptyFor(6_000) },
        indexGrows: { entries: 956, ...lateHistory, lie: indexGrows },
      },
      { ORGTRAIL_SETTLE: '4s,12s' },
    );
    await using daemon = await startDaemonProcess(world.env);
    for (const name of world.names) {
      const all = world.api.entries(name).length;
      await until(
        `all of ${name} is stored, or nothing is found by many requests (measured: 15 and 23)`,
        async () => (await world.stored(name)) >= all || world.api.requests(name) > 150,
      );
      expect(await world.stored(name), name).toBe(all);
    }
    const { rows } = await world.pool.query<{ least: number }>(
      'select min(read_once_seconds) as least from sync_status',
    );
    expect(rows[0]?.least, 'seconds that are read once').toBeGreaterThan((530 * DAY_MS) / 1_000);
    expect(await daemon.stop()).toBe(143);
    for (const name of world.names) expect(await world.judge(name), name).toBe(0);
  });
});

const DAY_MS = 24 * HOUR_MS;
const MAX_LIMIT = 1_000;

interface Entry {
  readonly id: string;
  readonly timeMs: number;
}

/** What a page is asked for, and how often the log has been asked before. */
interface Question {
  readonly sinceMs: number;
  readonly beforeMs: number;
  readonly isDescending: boolean;
  readonly limit: number;
  readonly cursor: string | null;
  readonly number: number;
  /** Since the log was asked first. */
  readonly ageMs: number;
}

interface Answer {
  readonly status?: number;
  readonly entries: readonly Entry[];
  readonly cursor?: string | undefined;
  /** In place of what the envelope says otherwise; undefined leaves a key out. */
  readonly envelope?: Readonly<Record<string, unknown>>;
}

/** How a log answers what an API would answer rightly (`right`), of the entries that it has, oldest first. */
type Lie = (question: Question, right: Answer, entries: readonly Entry[]) => Answer;

interface LyingLog {
  readonly entries: number;
  /** From here to here, as ages; the entries lie evenly between. Default: two days to two minutes. */
  readonly oldestMs?: number;
  readonly youngestMs?: number;
  readonly lie?: Lie;
}

const makeEntries = (id: string, { entries, oldestMs = 2 * DAY_MS, youngestMs = 120_000 }: LyingLog, nowMs: number) =>
  Array.from({ length: entries }, (_, index): Entry => {
    const ageMs = oldestMs - ((oldestMs - youngestMs) * index) / Math.max(1, entries - 1);
    return { id: `${id.slice(-4)}-${index}`, timeMs: Math.floor(nowMs - ageMs) };
  });

const bodyOf = ({ entries, cursor, envelope }: Answer): string =>
  JSON.stringify({
    success: true,
    errors: [],
    result: entries.map(({ id, timeMs }) => ({
      id,
      action: { type: 'create', result: 'success', time: new Date(timeMs).toISOString() },
      actor: { type: 'user', email: 'someone@example.com' },
      resource: { type: 'zone' },
    })),
    result_info: { count: String(entries.length), cursor: cursor ?? '' },
    ...envelope,
  });

/** An API that has no code in common with the simulator: organizations with a log each; some answer wrongly. */
const startLyingApi = async <Name extends string>(logs: Readonly<Record<Name, LyingLog>>) => {
  const startMs = Date.now();
  let isHealed = false;
  const names = Object.keys(logs) as Name[];
  const idOf = (name: Name): string => (0xa000 + names.indexOf(name)).toString(16).padStart(32, '0');
  const known = new Map(
    names.map((name) => {
      const entries = makeEntries(idOf(name), logs[name], startMs);
      return [idOf(name), { name, entries, lie: logs[name].lie, requests: 0, firstMs: 0 }];
    }),
  );
  const of = (name: Name) => {
    const log = known.get(idOf(name));
    if (log === undefined) throw new Error(`no log ${name}`);
    return log;
  };

  const audit = (id: string, query: URLSearchParams): Answer | undefined => {
    const log = known.get(id);
    if (log === undefined) return undefined;
    log.requests += 1;
    if (log.requests === 1) log.firstMs = Date.now();
    const question: Question = {
      sinceMs: Date.parse(query.get('since') ?? ''),
      beforeMs: Date.parse(query.get('before') ?? ''),
      isDescending: query.get('direction') !== 'asc',
      limit: Math.min(MAX_LIMIT, Number(query.get('limit') ?? 100)),
      cursor: query.get('cursor'),
      number: log.requests,
      ageMs: Date.now() - log.firstMs,
    };
    const isForeign = question.cursor !== null && !/^\d+$/.test(question.cursor);
    const right: Answer = isForeign
      ? { status: 400, entries: [], envelope: { success: false, errors: [{ code: 7003, message: 'no such cursor' }] } }
      : rightAnswer(log.entries, question);
    return isHealed || log.lie === undefined ? right : log.lie(question, right, log.entries);
  };

  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
    const send = (status: number, body: string) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(body);
    const [, id] = /\/organizations\/([^/]+)\/logs\/audit$/.exec(pathname) ?? [];
    const answer = id === undefined ? undefined : audit(id, searchParams);
    if (answer !== undefined) return void send(answer.status ?? 200, bodyOf(answer));
    if (pathname.endsWith('/organizations')) {
      const result = searchParams.has('parent.id') ? [] : names.map((name) => ({ id: idOf(name), name }));
      return void send(200, JSON.stringify({ success: true, errors: [], result, result_info: {} }));
    }
    if (pathname.endsWith('/accounts')) {
      return void send(200, '{"success":true,"errors":[],"result":[],"result_info":{"total_count":0}}');
    }
    send(403, JSON.stringify({ success: false, errors: [{ code: 10000, message: 'Authentication error' }] }));
  });
  const { port, stop } = await listen(server);
  return {
    baseUrl: `http://127.0.0.1:${port}/client/v4`,
    idOf,
    requests: (name: Name) => of(name).requests,
    /** What is true of a log, oldest first. */
    entries: (name: Name) => of(name).entries,
    /** It answers rightly from here on. */
    heal: () => {
      isHealed = true;
    },
    [Symbol.asyncDispose]: stop,
  };
};

const shardError = { errors: [{ code: 7003, message: 'one of three shards did not answer' }] };
const withoutThirds: Lie = (_, right) => ({ ...right, entries: right.entries.filter((_each, at) => at % 3 !== 0) });

/** Pages with a cursor name an error, and lack a third. */
const errorsOnEarlyPages: Lie = (question, right, entries) =>
  right.cursor === undefined ? right : { ...withoutThirds(question, right, entries), envelope: shardError };

const errorsOnAll: Lie = (question, right, entries) => ({
  ...withoutThirds(question, right, entries),
  envelope: { errors: { shard: 'did not answer' } },
});

const firstAnswers =
  (count: number, envelope: Readonly<Record<string, unknown>>): Lie =>
  ({ number }, right) =>
    number <= count ? { entries: [], envelope } : right;

const notAuthenticated = { success: undefined, errors: undefined, code: 10000, error: 'Authentication error' };

/** The question is lost on the way. */
const newest =
  (count: number): Lie =>
  (_, _right, entries) => ({ entries: entries.slice(-count).reverse() });

/** Newest first whatever is asked for, and cut without a word. */
const newestOfWindow =
  (cap: number): Lie =>
  (question, _right, entries) => ({
    entries: rightAnswer(entries, { ...question, isDescending: true, cursor: null }, cap).entries,
  });

const emptyIfWider =
  (widestMs: number): Lie =>
  ({ sinceMs, beforeMs }, right) =>
    // The margins of a request do not count.
    beforeMs - sinceMs > widestMs + 600_000 ? { entries: [] } : right;

const emptyFor =
  (forMs: number): Lie =>
  ({ ageMs }, right) =>
    ageMs < forMs ? { entries: [] } : right;

/** What is older than 30 days is not in the index at first. */
const indexGrows: Lie = (question, right, entries) =>
  question.ageMs >= 10_000
    ? right
    : rightAnswer(
        entries.filter(({ timeMs }) => timeMs > Date.now() - 30 * DAY_MS),
        question,
      );

const openLyingWorld = async <Name extends string>(
  logs: Readonly<Record<Name, LyingLog>>,
  more: Readonly<Record<string, string>> = {},
) => {
  const stack = new AsyncDisposableStack();
  const api = stack.use(await startLyingApi(logs));
  const database = await createTestDatabase();
  stack.defer(() => database.close());
  const { pool } = database;
  const env = {
    CLOUDFLARE_API_TOKEN: 'token-of-the-test',
    CLOUDFLARE_BASE_URL: api.baseUrl,
    DATABASE_URL: database.daemonUrl,
    ORGTRAIL_API_BUDGET: '1000000',
    ORGTRAIL_CONCURRENCY: '16',
    ORGTRAIL_HISTORY: '540d',
    ORGTRAIL_SETTLE: 'none',
    ORGTRAIL_SCRUB_SHARE: '0',
    ...more,
  };
  const names = Object.keys(logs) as Name[];
  const count = async (what: string, name: Name): Promise<number> => {
    const sql = `select count(*)::integer as n from ${what} = $1`;
    return (await pool.query<{ n: number }>(sql, [api.idOf(name)])).rows[0]?.n ?? 0;
  };
  const truthOf = (name: Name) => ({
    truth: () =>
      api.entries(name).map(({ id, timeMs }) => ({
        sourceKind: 'organization' as const,
        sourceId: api.idOf(name),
        id,
        logTimeMs: timeMs,
        actionTime: new Date(timeMs).toISOString(),
      })),
    summary: () => ({ nowMs: Date.now() }),
  });
  return {
    api,
    pool,
    env,
    names,
    /** What is claimed is stored, and what is missing shows. Returns how many are missing. */
    judge: async (name: Name): Promise<number> => {
      await expectClaimedImpliesStored(pool, truthOf(name));
      return await expectStoredOrVisible(pool, truthOf(name));
    },
    stored: (name: Name) => count('audit_events where organization_id', name),
    holes: (name: Name) => count('coverage_holes where source_id', name),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
};

/** No log here needs so many requests. */
const ENDLESS = 5_000;

/** `sync` to its end. Every log is complete, or what is missing shows and `sync` says so. */
const syncAndJudge = async <Name extends string>(
  world: Awaited<ReturnType<typeof openLyingWorld<Name>>>,
): Promise<Readonly<Record<Name, { missing: number; holes: number; requests: number }>>> => {
  const sync = startOrgtrail(['sync'], world.env);
  const endless = () => world.names.filter((name) => world.api.requests(name) > ENDLESS);
  await until('it ends', async () => sync.child.exitCode !== null || endless().length > 0);
  if (endless().length > 0) sync.child.kill('SIGKILL');
  expect(endless(), 'are asked without end').toEqual([]);
  const code = await sync.ended;
  const faults: Partial<Record<Name, string>> = {};
  const judged = async (name: Name) => {
    const missing = await world.judge(name).catch((error: Error) => {
      faults[name] = error.message;
      return 0;
    });
    return [name, { missing, holes: await world.holes(name), requests: world.api.requests(name) }];
  };
  const results = Object.fromEntries(await Promise.all(world.names.map(judged)));
  console.log(`sync ${code}: ${JSON.stringify(results)}`);
  expect(faults).toEqual({});
  const missing = world.names.reduce((sum, name) => sum + results[name].missing, 0);
  if (missing > 0) expect(code, sync.stderr()).toBe(1);
  return results;
};

/** With right answers the daemon stores all. */
const healAndJudge = async <Name extends string>(world: Awaited<ReturnType<typeof openLyingWorld<Name>>>) => {
  world.api.heal();
  await world.pool.query('update coverage_holes set next_attempt_at = now()');
  await world.pool.query('update lanes set next_attempt_at = null');
  await using daemon = await startDaemonProcess(world.env);
  for (const name of world.names) {
    const all = world.api.entries(name).length;
    await until(`all of ${name} is stored`, async () => (await world.stored(name)) >= all);
  }
  expect(await daemon.stop()).toBe(143);
  for (const name of world.names) expect(await world.judge(name), name).toBe(0);
};
