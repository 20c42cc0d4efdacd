import type { Pool } from 'pg';
import { explainForbidden } from '../postgres/sql-state.ts';
import { keysInForce } from './append/keys-in-force.ts';
import { readKeyHistory } from './builder/evidence-store.sql.ts';
import { readNewestCheckpoint, readStatementsOf } from './builder/load-log.sql.ts';
import type { NamedSource } from './builder/ports.ts';
import { vkeyOf } from './builder/signing-keys.ts';
import { bundleWriterOf } from './export/export-bundle.ts';
import type { StatementOf } from './journal/statement.ts';
import { readEvidenceStatus } from './stored/evidence-status.sql.ts';

const SHOWN_SOURCES = 20;

/** `orgtrail_ingest` sees how the log stands, `orgtrail_evidence` the log. */
export const createShownEvidence = (pool: Pool, isConfigured: boolean) => ({
  /** There may be a log in the database even if not. */
  isConfigured,
  status: () => readEvidenceStatus(pool),
  statements: () => readStatements(pool),
  log: () => ifAllowed(() => readShown(pool)),
  checkpoint: () => ifAllowed(() => readNewestCheckpoint(pool)),
  writeBundle: bundleWriterOf(pool),
});

export type ShownEvidence = ReturnType<typeof createShownEvidence>;

/** Undefined: the account may not read that. */
const ifAllowed = async <T>(read: () => Promise<T>): Promise<T | undefined> => {
  try {
    return await read();
  } catch (error) {
    if (explainForbidden(error) !== undefined) return undefined;
    throw error;
  }
};

const named = 'coalesce(a.name, o.name) as name';
const joined = `left join accounts a on a.id = s.account_id
  left join organizations o on o.id = s.organization_id and s.account_id is null`;

const readStatements = async (pool: Pool) => {
  const { rows: unstated } = await pool.query<ShownSource>(
    `select s.kind, s.id, ${named} from sources s ${joined}
     where not exists (select from evidence_coverage c where c.source_kind = s.kind and c.source_id = s.id and c.index is not null)
     order by 3, 1, 2 limit ${SHOWN_SOURCES}`,
  );
  // Of a source that is gone nothing is stated any more.
  const { rows: oldest } = await pool.query<ShownSource & { readonly statedAt: Date }>(
    `select s.kind, s.id, ${named}, c.stated_at as "statedAt"
     from sources s ${joined} cross join lateral (select max(c.stated_at) as stated_at from evidence_coverage c
       where c.source_kind = s.kind and c.source_id = s.id) as c
     where c.stated_at is not null and coalesce(a.state, o.state) is distinct from 'gone'
     order by c.stated_at limit 1`,
  );
  return { unstated, oldest: oldest[0] };
};

/** Only for an account that may read the log. */
export interface ShownLog {
  /** Undefined before the first statement. */
  readonly vkey: string | undefined;
  /** Of each log of this tree, the oldest first. */
  readonly begins: readonly StatementOf<'begin'>[];
  readonly ends: readonly StatementOf<'end'>[];
}

const readShown = async (pool: Pool): Promise<ShownLog> => {
  const { rows } = await pool.query<{ at: string; origin: string }>(
    `select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at, base || '/' || feed_id || '.' || number as origin
     from evidence_log`,
  );
  const { at = '', origin = '' } = rows[0] ?? {};
  const { key } = keysInForce(await readKeyHistory(pool), at);
  return {
    vkey: key === undefined ? undefined : vkeyOf(origin, Buffer.from(key, 'hex')),
    begins: await readStatementsOf(pool, 'begin'),
    ends: await readStatementsOf(pool, 'end'),
  };
};

export interface ShownSource extends NamedSource {
  readonly name: string | null;
}
