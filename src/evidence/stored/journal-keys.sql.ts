import type { Pool } from 'pg';
import { type KeyHistory, type KeyOrder, type KeyState, keyHistory } from '../growth/keys-in-force.ts';

/** What the journal of a generation says of keys. `isSigned`: only as far as it is signed. */
export const readKeyHistory = async (
  pool: Pick<Pool, 'query'>,
  generation: number,
  { isSigned = false } = {},
): Promise<KeyHistory> => {
  const { rows } = await pool.query<{ text: string }>(
    `select j.text from evidence_journal j join evidence_logs l on l.generation = j.generation and l.name = 'journal'
     where j.generation = $1 and j.kind in ('genesis', 'key', 'fork') and (not $2 or j.index < l.signed_size) order by j.index`,
    [generation, isSigned],
  );
  return keyHistory(rows.map(({ text }) => text));
};

/** The same, and the key that is ordered and not stated. */
export const readKeyState = async (pool: Pool, generation: number): Promise<KeyState> => {
  const { rows } = await pool.query<KeyOrder>(
    `select id::float8 as id, reason, new_vkeys as "newVkeys", (extract(epoch from both_for) * 1000)::float8 as "bothForMs",
       ordered_by as by
     from evidence_key_orders where generation = $1 and stated_at is null order by id desc limit 1`,
    [generation],
  );
  return { history: await readKeyHistory(pool, generation), order: rows[0] };
};
