import type { Pool, PoolClient } from 'pg';
import { OrgtrailError } from '../../base/errors.ts';
import type { BinaryRow } from '../../postgres/copy.ts';
import { inTransaction } from '../../postgres/pool.ts';

/** The log as of its last signed checkpoint. */
export interface ExportedLog {
  readonly number: number;
  readonly state: 'building' | 'ok' | 'behind' | 'halted' | 'no key' | 'ended';
  readonly stateReason: string | null;
  readonly origin: string;
  readonly size: number;
  readonly note: string;
  /** In RFC 3339. */
  readonly at: string;
  /** Months that are gone without a signed statement. */
  readonly unstatedDrops: number;
}

/** All statements see one moment. Locked before the snapshot, so no month is dropped meanwhile: retention tries again later. */
export const withSnapshot = async <T>(
  pool: Pool,
  signal: AbortSignal | undefined,
  use: (client: PoolClient, log: ExportedLog) => Promise<T>,
): Promise<T> =>
  await inTransaction(
    pool,
    async (client) => {
      await client.query('set transaction isolation level repeatable read read only');
      await client.query('lock table audit_events in access share mode');
      return await use(client, await readLog(client));
    },
    signal,
  );

const query = `
select l.number, case when l.ended_at is null then l.state else 'ended' end as state,
  case when l.ended_at is null then l.state_reason else l.ended_reason end as "stateReason",
  c.size::float8 as size, c.note, split_part(c.note, E'\\n', 1) as origin,
  to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as at,
  (select count(*) from retention_drops d where d.positions is not null and not exists (
     select from evidence_statements s where s.type = 'drop' and s.ref = d.id || '/0' and s.index < c.size))::integer as "unstatedDrops"
from evidence_log l left join lateral (select c.size, c.note from evidence_checkpoints c order by c.size desc limit 1) as c on true`;

/** Throws OrgtrailError `usage` for nothing to export. */
const readLog = async (client: PoolClient): Promise<ExportedLog> => {
  const { rows } = await client.query<Omit<ExportedLog, 'size'> & { readonly size: number | null }>(query);
  const [row] = rows;
  if (row === undefined) {
    throw new OrgtrailError('usage', 'there is no evidence in this database', {
      hint: 'docs/evidence.md says how to begin',
    });
  }
  const { size } = row;
  if (size !== null) return { ...row, size };
  throw new OrgtrailError('usage', 'no checkpoint is signed yet', {
    hint: 'the daemon signs one once it builds: orgtrail evidence status',
  });
};

/** Empty for null. */
export const field = ({ bytes, starts, lengths }: BinaryRow, at: number): Buffer => {
  const start = starts[at] ?? 0;
  return bytes.subarray(start, start + Math.max(lengths[at] ?? 0, 0));
};

/** For the text of a statement, since COPY takes no parameters. */
export const integer = (value: number): string => {
  if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is no integer`);
  return String(value);
};
