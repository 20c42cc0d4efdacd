import type { Pool } from 'pg';
import { OrgtrailError } from '../../base/errors.ts';
import { type KeyOrder, statementOf } from '../append/keys-in-force.ts';
import type { NamedSource } from '../builder/ports.ts';
import type { StatementOf } from '../journal/statement.ts';

interface NewKeyOrder extends Pick<KeyOrder, 'reason' | 'bothForMs' | 'by'> {
  readonly publicKey: Buffer;
}

/** In place of an order that is not stated; needs the schema's owner. Throws OrgtrailError `usage` if the log has ended meanwhile. */
export const orderKey = async (pool: Pool, { reason, publicKey, bothForMs, by }: NewKeyOrder): Promise<number> => {
  const { rows } = await pool.query<{ id: number | null }>(
    'select orgtrail_order_evidence_key($1, $2, $3, $4)::float8 as id',
    [reason, publicKey, bothForMs, by],
  );
  const id = rows[0]?.id;
  if (id === null || id === undefined)
    throw new OrgtrailError('usage', 'the log is not what it was a moment ago: another process has ended it');
  return id;
};

interface StatedOrder {
  /** Its statement is under a checkpoint that the new key has signed. */
  readonly isSigned: boolean;
  readonly until: string | undefined;
  readonly heldBy: string | null;
}

export const readStated = async (pool: Pool, id: number): Promise<StatedOrder> => {
  const { rows } = await pool.query<{ isSigned: boolean; until: string | null; heldBy: string | null }>(
    `select coalesce(l.signed_size > j.index, false) as "isSigned", j.text::jsonb ->> 'old_signs_until' as until,
       case when l.lease_until > clock_timestamp() then l.lease_owner end as "heldBy"
     from evidence_log l left join evidence_statements j on j.type = 'key' and j.ref = $1::text`,
    [id],
  );
  const { isSigned = false, until = null, heldBy = null } = rows[0] ?? {};
  return { isSigned, until: until ?? undefined, heldBy };
};

/** Undefined: of all. */
export const askCoverage = async (pool: Pool, sources: readonly NamedSource[] | undefined): Promise<number> => {
  const { rows } = await pool.query<{ asked: number }>(
    'select orgtrail_ask_coverage($1, $2)::float8 as asked',
    parametersOf(sources),
  );
  return rows[0]?.asked ?? 0;
};

const answered = `
from sources s join evidence_asked a on a.source_kind = s.kind and a.source_id = s.id
  left join evidence_coverage c on c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = s.filter_hash
    and c.stated_at > a.asked_at and c.index < (select l.signed_size from evidence_log l)
where ($1::text[] is null or (s.kind, s.id) in (select u.kind, u.id from unnest($1, $2::text[]) as u (kind, id)))`;

export const countUnanswered = async (pool: Pool, sources: readonly NamedSource[] | undefined): Promise<number> => {
  const { rows } = await pool.query<{ count: number }>(
    `select count(*) filter (where c.index is null)::float8 as count ${answered}`,
    parametersOf(sources),
  );
  return rows[0]?.count ?? 0;
};

/** In order of their sources. */
export const readAnswers = async function* (
  pool: Pool,
  sources: readonly NamedSource[] | undefined,
): AsyncGenerator<NamedSource & { readonly statement: StatementOf<'coverage'> }> {
  const { rows: found } = await pool.query<NamedSource & { readonly index: number }>(
    `select s.kind, s.id, c.index::float8 as index ${answered} and c.index is not null order by s.kind, s.id`,
    parametersOf(sources),
  );
  for (const { kind, id, index } of found) {
    const { rows } = await pool.query<{ text: string }>('select text from evidence_statements where index = $1', [
      index,
    ]);
    const statement = statementOf(rows[0]?.text ?? '');
    if (statement?.type === 'coverage') yield { kind, id, statement };
  }
};

const parametersOf = (sources: readonly NamedSource[] | undefined) => [
  sources?.map(({ kind }) => kind) ?? null,
  sources?.map(({ id }) => id) ?? null,
];
