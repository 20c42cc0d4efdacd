import { setTimeout as sleep } from 'node:timers/promises';
import { readPauseMs } from '../../ingest/cloudflare/api-budget.sql.ts';
import { MAX_ID_LENGTH, textDefects } from '../../ingest/entries/entry.ts';
import { leftOut, type Pool } from '../../postgres/pool.ts';
import type { Simulator } from '../../simulator/interface.ts';

/**
 * `exact`: everything served is stored once. `catching up`: what is stored is right, and only time not yet collected is missing.
 * `wrong`: anything else, such as an entry missing from collected time.
 */
type Outcome = 'exact' | 'catching up' | 'wrong';
export type Verdict = Readonly<{ outcome: Outcome; comparison: Comparison }>;

type CatchUpOptions = Readonly<{ timeoutMs: number; settlePasses: number; onPause: (pauseMs: number) => void }>;

/**
 * Compares until everything is there, since late entries show only after a settle pass. Gives up after `timeoutMs` without progress,
 * but not in a pause of the API; `onPause` is called once for it.
 */
export const catchUp = async (
  pool: Pool,
  simulator: Pick<Simulator, 'truth' | 'summary'>,
  { timeoutMs, settlePasses, onPause }: CatchUpOptions,
): Promise<Verdict> => {
  let giveUpAt = performance.now() + timeoutMs;
  let pausedUntil = 0;
  let best = { stored: 0, uncollected: Number.POSITIVE_INFINITY };
  for (;;) {
    const beganAt = performance.now();
    const comparison = await compareWithTruth(pool, simulator);
    if (isExact(comparison)) return { outcome: 'exact', comparison };
    const uncollected = await countUncollected(pool, comparison.missingEntries, settlePasses);
    if (comparison.stored > best.stored || uncollected < best.uncollected) giveUpAt = performance.now() + timeoutMs;
    best = { stored: comparison.stored, uncollected };
    const pauseMs = await readPauseMs(pool);
    if (pauseMs > 0) {
      if (performance.now() > pausedUntil) onPause(pauseMs);
      pausedUntil = performance.now() + pauseMs;
      giveUpAt = pausedUntil + timeoutMs;
    }
    if (performance.now() > giveUpAt) return { outcome: judge(comparison, uncollected), comparison };
    // Comparing hashes everything: most of the machine is for the daemon.
    await sleep(Math.max(500, 4 * (performance.now() - beganAt)));
  }
};

export const judge = (comparison: Comparison, uncollected: number): Exclude<Outcome, 'exact'> => {
  const { missing, extra, duplicates, positionsMissing } = comparison;
  const knowsNoMore =
    comparison.organizationsStored <= comparison.organizationsExpected &&
    comparison.accountsStored <= comparison.accountsExpected;
  const storedIsRight = extra + duplicates + positionsMissing === 0 && knowsNoMore;
  return storedIsRight && missing === uncollected ? 'catching up' : 'wrong';
};

const sentences = {
  exact: () => 'Every event of every organization and account is stored, once each, to the byte.',
  'catching up': (missing: number) =>
    `Still catching up: ${missing.toLocaleString('en')} events are not collected yet. Nothing is wrong with what is stored.`,
  wrong: () => 'The database does NOT match what was served.',
} as const satisfies Record<Outcome, (missing: number) => string>;

export const verdictText = ({ outcome, comparison }: Verdict): string => `
                 served   stored
organizations  ${pad(comparison.organizationsExpected)} ${pad(comparison.organizationsStored)}
accounts       ${pad(comparison.accountsExpected)} ${pad(comparison.accountsStored)}
events         ${pad(comparison.expected)} ${pad(comparison.stored)}

missing ${comparison.missing} · extra ${comparison.extra} · stored twice ${comparison.duplicates} · positions missing ${comparison.positionsMissing}
${sentences[outcome](comparison.missing)}
`;

const pad = (count: number): string => count.toLocaleString('en').padStart(8);

/** All four counts are 0: complete, once each, to the byte. */
export interface Comparison {
  readonly organizationsExpected: number;
  readonly organizationsStored: number;
  readonly accountsExpected: number;
  readonly accountsStored: number;
  readonly expected: number;
  readonly stored: number;
  readonly missing: number;
  /** Never served by the simulator. */
  readonly extra: number;
  readonly duplicates: number;
  /** Unused positions below used ones. */
  readonly positionsMissing: number;
  readonly missingEntries: readonly MissingEntry[];
}

type MissingEntry = Readonly<{ sourceKind: string; sourceId: string; logTimeMs: number }>;

export const isExact = (comparison: Comparison): boolean =>
  comparison.missing + comparison.extra + comparison.duplicates + comparison.positionsMissing === 0 &&
  comparison.organizationsExpected === comparison.organizationsStored &&
  comparison.accountsExpected === comparison.accountsStored;

const noTotals = { organizations: 0, accounts: 0, stored: 0, head: 0 };

/** By source and SHA-256 of the exact text. */
export const compareWithTruth = async (
  pool: Pool,
  simulator: Pick<Simulator, 'truth' | 'summary'>,
): Promise<Comparison> => {
  const expected = new Map<string, string | null>();
  const missing = new Map<string, MissingEntry>();
  for (const { sourceKind, sourceId, sha256, id, logTimeMs } of simulator.truth()) {
    const key = `${sourceKind} ${sourceId} ${sha256}`;
    expected.set(key, id);
    missing.set(key, { sourceKind, sourceId, logTimeMs });
  }
  const { rows } = await pool.query<{ key: string; id: string; copies: number }>(
    `select source_kind || ' ' || source_id || ' ' || encode(sha256(convert_to(
         case when defects && $1 then raw #>> '{}' else raw::text end, 'UTF8')), 'hex') as key,
       min(id) as id, count(*)::integer as copies
     from audit_events group by 1`,
    [[...textDefects]],
  );
  let extra = 0;
  let duplicates = 0;
  for (const { key, id, copies } of rows) {
    const expectedId = expected.get(key);
    // A hash stands for a missing, unusable or too long id.
    const hashed = expectedId === null || (expectedId !== undefined && expectedId.length > MAX_ID_LENGTH);
    const same = expectedId === id || (hashed && id.startsWith('sha256:'));
    if (expectedId !== undefined && same) missing.delete(key);
    else extra += 1;
    duplicates += copies - 1;
  }
  const totals = await pool.query<{ organizations: number; accounts: number; stored: number; head: number }>(
    `select (select count(*) from organizations where state <> 'gone')::integer as organizations,
       (select count(*) from accounts where state <> 'gone')::integer as accounts,
       (select count(*) from audit_events)::integer as stored,
       (select position - ${leftOut('0', 'position')} from feed_head)::float8 as head`,
  );
  const [{ organizations, accounts, stored, head } = noTotals] = totals.rows;
  const summary = simulator.summary();
  return {
    organizationsExpected: summary.organizations.length,
    organizationsStored: organizations,
    accountsExpected: summary.accounts.length,
    accountsStored: accounts,
    expected: expected.size,
    stored,
    missing: missing.size,
    extra,
    duplicates,
    positionsMissing: head - stored,
    missingEntries: [...missing.values()],
  };
};

/** Missing entries of time that some pass, 0 to `settlePasses`, has not read. */
const countUncollected = async (
  pool: Pool,
  missing: readonly MissingEntry[],
  settlePasses: number,
): Promise<number> => {
  const { rows } = await pool.query<{ count: number }>(
    `select count(*)::integer as count from unnest($1::text[], $2::text[], $3::float8[]) as m (kind, id, time_ms)
     where exists (select from generate_series(0, $4::integer) as p (pass) where not exists (
       select from coverage c
       where c.source_kind = m.kind and c.source_id = m.id and c.pass = p.pass and c.ranges @> to_timestamp(m.time_ms / 1000)))`,
    [
      missing.map(({ sourceKind }) => sourceKind),
      missing.map(({ sourceId }) => sourceId),
      missing.map(({ logTimeMs }) => logTimeMs),
      settlePasses,
    ],
  );
  return rows[0]?.count ?? 0;
};
