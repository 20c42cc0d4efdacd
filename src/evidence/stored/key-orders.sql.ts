import type { Pool } from 'pg';
import { OrgtrailError } from '../../errors.ts';
import type { KeyOrder } from '../growth/keys-in-force.ts';

interface NewKeyOrder extends Pick<KeyOrder, 'reason' | 'bothForMs' | 'by'> {
  readonly generation: number;
  readonly vkeys: readonly string[];
}

/**
 * Orders another key, in place of one that was ordered and is not stated; the account must be the owner of the schema. Throws OrgtrailError
 * `usage` if the log is not what it was a moment ago.
 */
export const orderKey = async (
  pool: Pool,
  { generation, reason, vkeys, bothForMs, by }: NewKeyOrder,
): Promise<number> => {
  const { rows } = await pool.query<{ id: number | null }>(
    'select orgtrail_order_evidence_key($1, $2, $3, $4, $5)::float8 as id',
    [generation, reason, vkeys, bothForMs, by],
  );
  const id = rows[0]?.id;
  if (id === null || id === undefined)
    throw new OrgtrailError('usage', 'the log is not what it was a moment ago: another process has ended or forked it');
  return id;
};

/** What has become of an order. */
interface StatedOrder {
  /** Its statement is under a signed checkpoint, which the new key has signed. */
  readonly isSigned: boolean;
  readonly until: string | undefined;
  /** The process that builds. */
  readonly heldBy: string | null;
}

export const readStated = async (pool: Pool, id: number): Promise<StatedOrder> => {
  const { rows } = await pool.query<{ isSigned: boolean; until: string | null; heldBy: string | null }>(
    `select coalesce(journal.signed_size > j.index, false) as "isSigned", j.text::jsonb ->> 'old_signs_until' as until,
       case when events.lease_until > clock_timestamp() then events.lease_owner end as "heldBy"
     from evidence_key_orders o
       join evidence_logs events on events.generation = o.generation and events.name = 'events'
       join evidence_logs journal on journal.generation = o.generation and journal.name = 'journal'
       left join evidence_journal j on j.generation = o.generation and j.kind = 'key' and j.ref = o.id::text
     where o.id = $1`,
    [id],
  );
  const { isSigned = false, until = null, heldBy = null } = rows[0] ?? {};
  return { isSigned, until: until ?? undefined, heldBy };
};
