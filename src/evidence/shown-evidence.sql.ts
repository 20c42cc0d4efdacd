import type { Pool } from 'pg';
import { explainForbidden } from '../postgres/sql-state.ts';
import { keysInForce, statementOf } from './append/keys-in-force.ts';
import { readKeyHistory } from './builder/evidence-store.sql.ts';
import type { LeafProof } from './bundle/records.ts';
import { type EventProof, proveEvents, proveLeaves } from './export/prove.sql.ts';
import type { LogName } from './notes/checkpoint.ts';
import { readEvidenceStatus, readNewestCheckpoints } from './stored/evidence-status.sql.ts';

const SHOWN_GENERATIONS = 20;
const SHOWN_SOURCES = 20;

/** `orgtrail_ingest` sees how the log stands, `orgtrail_evidence` the log. */
export const createShownEvidence = (pool: Pool, isConfigured: boolean) => ({
  /** There may be a log in the database even if not. */
  isConfigured,
  status: () => readEvidenceStatus(pool),
  logs: async () => (await pool.query<ShownLog>(logs)).rows,
  statements: (generation: number) => readStatements(pool, generation),
  journal: (generation: number) => ifAllowed(() => readJournal(pool, generation)),
  checkpoints: () => ifAllowed(() => readNewestCheckpoints(pool)),
  /** Throws OrgtrailError `usage` without a signed leaf, `evidence_fails` if it is not the event that was signed. */
  prove: (position: number, signal: AbortSignal) =>
    ifAllowed(async () => {
      const proofs: EventProof[] = [];
      await proveEvents(pool, { positions: [position], ids: [], signal }, (proof) => proofs.push(proof));
      return proofs[0];
    }),
  proveAll: (
    positions: readonly number[],
    take: (proofs: readonly LeafProof[]) => void,
    signal: AbortSignal | undefined,
  ) => ifAllowed(() => proveLeaves(pool, positions, take, signal)),
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

const logs = `
select name as log, generation, origin, size::float8 as size, signed_size::float8 as "signedSize", signed_at as "signedAt",
  ended_at as "endedAt", ended_by as "endedBy", ended_reason as "endedReason"
from evidence_logs where generation > (select max(generation) from evidence_logs) - ${SHOWN_GENERATIONS}
order by generation desc, name`;

const named = 'coalesce(a.name, o.name) as name';
const joined = `left join accounts a on a.id = s.account_id
  left join organizations o on o.id = s.organization_id and s.account_id is null`;

const readStatements = async (pool: Pool, generation: number) => {
  const { rows: unstated } = await pool.query<NamedSource>(
    `select s.kind, s.id, ${named} from sources s ${joined}
     where not exists (select from evidence_coverage c
       where c.generation = $1 and c.source_kind = s.kind and c.source_id = s.id)
     order by 3, 1, 2 limit ${SHOWN_SOURCES}`,
    [generation],
  );
  // Of a source that is gone nothing is stated any more.
  const { rows: oldest } = await pool.query<NamedSource & { readonly statedAt: Date }>(
    `select s.kind, s.id, ${named}, c.stated_at as "statedAt"
     from sources s ${joined} cross join lateral (select max(c.stated_at) as stated_at from evidence_coverage c
       where c.generation = $1 and c.source_kind = s.kind and c.source_id = s.id) as c
     where c.stated_at is not null and coalesce(a.state, o.state) is distinct from 'gone'
     order by c.stated_at limit 1`,
    [generation],
  );
  return { unstated, oldest: oldest[0] };
};

const readJournal = async (pool: Pool, generation: number): Promise<ShownJournal> => {
  const { rows: begun } = await pool.query<{ at: Date }>(
    'select at from evidence_journal where generation = $1 and index = 0',
    [generation],
  );
  const { rows: forks } = await pool.query<{ generation: number; text: string }>(
    `select l.generation, j.text from evidence_logs l join evidence_journal j on j.generation = l.generation and j.index = 0
     where l.name = 'journal' and j.kind = 'fork' order by l.generation desc limit ${SHOWN_GENERATIONS}`,
  );
  return {
    vkeys: await readKeys(pool, generation),
    begunAt: begun[0]?.at ?? null,
    forks: forks.flatMap(({ generation: of, text }) => forkOf(of, text)),
  };
};

const readKeys = async (pool: Pool, generation: number): Promise<readonly string[]> => {
  const { rows } = await pool.query<{ at: string }>(
    `select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at`,
  );
  return keysInForce(await readKeyHistory(pool, generation), rows[0]?.at ?? '').vkeys;
};

/** That a statement was damaged is for `orgtrail evidence verify` to say. */
const forkOf = (generation: number, text: string): ShownFork[] => {
  const statement = statementOf(text);
  if (statement?.type !== 'fork') return [];
  const { at, cause, by, common_size: commonSize } = statement;
  return [{ generation, at, cause, by, commonSize }];
};

export interface ShownLog {
  readonly log: LogName;
  readonly generation: number;
  readonly origin: string;
  readonly size: number;
  /** Null: nothing is signed. */
  readonly signedSize: number | null;
  readonly signedAt: Date | null;
  readonly endedAt: Date | null;
  readonly endedBy: string | null;
  readonly endedReason: string | null;
}

export interface ShownFork {
  readonly generation: number;
  readonly at: string;
  readonly cause: string;
  readonly by: string;
  /** Leaves that are also in the generation before. */
  readonly commonSize: number;
}

export interface NamedSource {
  readonly kind: string;
  readonly id: string;
  readonly name: string | null;
}

/** Only for an account that may read the log. */
export interface ShownJournal {
  readonly vkeys: readonly string[];
  /** Null before the first statement. */
  readonly begunAt: Date | null;
  readonly forks: readonly ShownFork[];
}
