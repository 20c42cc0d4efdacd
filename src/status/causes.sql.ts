import type { Pool } from 'pg';
import { readArchiveStatus } from '../archive/archive-status.sql.ts';
import { readEvidenceStatus } from '../evidence/stored/evidence-status.sql.ts';
import { gcraOf } from '../ingest/cloudflare/api-budget.sql.ts';
import { type DatabaseCause, databaseCause, databaseTrouble, isRefusal, sqlState } from '../postgres/sql-state.ts';
import type { SinkStatus } from '../sinks/sink-status.sql.ts';
import { type Cause, type CauseFacts, causesOf } from './causes.ts';
import type { StatusWithStates } from './source-state.ts';

/** `writing`, `accessTrouble`: what only the process of the daemon knows. */
type Known = Pick<CauseFacts, 'writing' | 'accessTrouble'>;

interface CauseConfig {
  readonly tickMs: number;
  readonly apiBudget: number;
  readonly retentionMs: number;
}

/** A month that is old enough is dropped within a day; as in the alert OrgtrailArchiveWaiting. */
const HELD_UP_MS = 2 * 86_400_000;

/** Of what this account may see. Rejects if the database does not answer. */
export const readCauses = async (
  pool: Pool,
  { tickMs, apiBudget, retentionMs }: CauseConfig,
  status: StatusWithStates,
  sinks: readonly SinkStatus[],
  known?: Known,
): Promise<readonly Cause[]> => {
  const [evidence, archive, isBudgetUsedUp] = await Promise.all([
    ifAllowed(readEvidenceStatus(pool)),
    ifAllowed(readArchiveStatus(pool, retentionMs + HELD_UP_MS)),
    ifAllowed(isUsedUp(pool, apiBudget)),
  ]);
  const facts = { status, sinks, tickMs, apiBudget, evidence, archive, isBudgetUsedUp, nowMs: Date.now() };
  if (known !== undefined) return causesOf({ ...facts, ...known });
  // A daemon knows. What is read from elsewhere and is up to date needs no trial.
  const isLate = (status.aliveSecondsAgo ?? 0) > SILENT_SECONDS || status.groups.some(({ state }) => isUnread(state));
  return causesOf({ ...facts, writing: isLate ? await tryWriting(pool) : undefined });
};

/** A daemon notes every 5 seconds that it is at work. */
const SILENT_SECONDS = 15;
const isUnread = (state: string): boolean => state === 'behind' || state === 'failing';

/** Undefined for an account that may not see it. */
const ifAllowed = <T>(asked: Promise<T>): Promise<T | undefined> =>
  asked.catch((error: unknown) => {
    if (!isRefusal(error)) throw error;
    return undefined;
  });

const isUsedUp = async (pool: Pool, apiBudget: number): Promise<boolean> => {
  const { rows } = await pool.query<{ aheadMs: number | null }>(
    `select extract(epoch from max(next_free_at) - clock_timestamp())::float8 * 1000 as "aheadMs"
     from api_budget where credential not like '% scrub' and isfinite(next_free_at)`,
  );
  return (rows[0]?.aheadMs ?? 0) >= gcraOf(apiBudget).toleranceMs;
};

/** Some pages of a temporary table, which is gone at once. Undefined: it can be written, or this account or a standby may not try. */
export const tryWriting = async (pool: Pool): Promise<DatabaseCause | undefined> => {
  const client = await pool.connect();
  try {
    const { rows } = await client.query<{ standby: boolean }>('select pg_is_in_recovery() as standby');
    if (rows[0]?.standby !== false) return undefined;
    await client.query('begin');
    await client.query(
      "create temporary table orgtrail_room on commit drop as select repeat('x', 1000) as room from generate_series(1, 64)",
    );
    return undefined;
  } catch (error) {
    return databaseTrouble(error) === 'full' || sqlState(error) === '25006' ? databaseCause(error) : undefined;
  } finally {
    await client.query('rollback').catch(() => {});
    client.release();
  }
};
