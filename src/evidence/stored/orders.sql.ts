import type { Pool } from 'pg';
import { OrgtrailError } from '../../base/errors.ts';
import type { KeyOrder } from '../append/keys-in-force.ts';
import type { StatementOf } from '../journal/statement.ts';
import { readStatement } from '../journal/statement-text.ts';

interface NewKeyOrder extends Pick<KeyOrder, 'reason' | 'bothForMs' | 'by'> {
  readonly generation: number;
  readonly vkeys: readonly string[];
}

/** In place of an order that is not stated; needs the schema's owner. Throws OrgtrailError `usage` if the log has changed. */
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

interface StatedOrder {
  /** Its statement is under a checkpoint that the new key has signed. */
  readonly isSigned: boolean;
  readonly until: string | undefined;
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

export interface StatedSource {
  readonly kind: string;
  readonly id: string;
}

/** Undefined: of all. */
export const askCoverage = async (pool: Pool, sources: readonly StatedSource[] | undefined): Promise<number> => {
  const { rows } = await pool.query<{ asked: number }>('select orgtrail_ask_coverage($1, $2)::float8 as asked', [
    sources?.map(({ kind }) => kind) ?? null,
    sources?.map(({ id }) => id) ?? null,
  ]);
  return rows[0]?.asked ?? 0;
};

const answered = `
from sources s join evidence_asked a on a.source_kind = s.kind and a.source_id = s.id
  left join evidence_coverage c on c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = s.filter_hash
    and c.stated_at > a.asked_at and c.generation = (select max(l.generation) from evidence_logs l)
    and c.index < (select l.signed_size from evidence_logs l where l.name = 'journal' and l.generation = c.generation)
where ($1::text[] is null or (s.kind, s.id) in (select u.kind, u.id from unnest($1, $2::text[]) as u (kind, id)))`;

export const countUnanswered = async (pool: Pool, sources: readonly StatedSource[] | undefined): Promise<number> => {
  const { rows } = await pool.query<{ count: number }>(
    `select count(*) filter (where c.index is null)::float8 as count ${answered}`,
    parametersOf(sources),
  );
  return rows[0]?.count ?? 0;
};

/** In order of their sources. */
export const readAnswers = async function* (
  pool: Pool,
  sources: readonly StatedSource[] | undefined,
): AsyncGenerator<StatementOf<'coverage'>> {
  const { rows: found } = await pool.query<{ generation: number; index: number }>(
    `select c.generation, c.index::float8 as index ${answered} and c.index is not null order by s.kind, s.id`,
    parametersOf(sources),
  );
  for (let at = 0; at < found.length; at += ANSWERS) {
    const some = found.slice(at, at + ANSWERS);
    const { rows } = await pool.query<{ text: string }>(
      `select j.text from unnest($1::integer[], $2::bigint[]) with ordinality as u (generation, index, place)
       join evidence_journal j on j.generation = u.generation and j.index = u.index order by u.place`,
      [some.map(({ generation }) => generation), some.map(({ index }) => index)],
    );
    for (const { text } of rows) {
      const read = readStatement(text);
      if (read.known && read.statement.type === 'coverage') yield read.statement;
    }
  }
};

const ANSWERS = 100;

const parametersOf = (sources: readonly StatedSource[] | undefined) => [
  sources?.map(({ kind }) => kind) ?? null,
  sources?.map(({ id }) => id) ?? null,
];
