import type { Client } from 'pg';

/** Rows of one statement. */
const CHUNK = 500_000;

/**
 * Copies what is stored under further sources and ids until there are `rows`, inside the server: without indexes, which are made
 * at the end. Times and texts stay, ids are random as Cloudflare's are.
 */
export const storeManyEvents = async (
  client: Client,
  rows: number,
  progress: (line: string) => void,
): Promise<void> => {
  const columns = await otherColumns(client);
  const stored = Number((await client.query('select count(*) as stored from audit_events')).rows[0]?.stored);
  const indexes = await dropIndexes(client);
  await client.query('create temporary table sample as select * from audit_events');
  await client.query('set synchronous_commit = off');
  for (let from = 0; from < rows; from += CHUNK) {
    await client.query(
      `insert into audit_events (source_id, id, position, ${columns})
       select 'stored-' || (n / 50000), md5(n::text), ${stored} + n, ${columns}
       from generate_series($1::bigint, $2::bigint) n join sample s on s.position = 1 + n % ${stored}`,
      [from + 1, Math.min(rows, from + CHUNK)],
    );
    progress(`${Math.min(rows, from + CHUNK)} of ${rows} rows stored`);
  }
  for (const index of indexes) {
    progress(index);
    await client.query(index);
  }
  await client.query('drop table sample');
  await client.query('update feed_head set position = $1', [stored + rows]);
  await client.query('vacuum (analyze) audit_events');
  await client.query('set synchronous_commit = on');
};

const otherColumns = async (client: Client): Promise<string> => {
  const { rows } = await client.query<{ columns: string }>(
    `select string_agg(quote_ident(attname), ', ' order by attnum) as columns from pg_attribute
     where attrelid = 'audit_events'::regclass and attnum > 0 and not attisdropped
       and attname not in ('source_id', 'id', 'position')`,
  );
  return rows[0]?.columns ?? '';
};

/** Gives the statements that make them again. */
const dropIndexes = async (client: Client): Promise<readonly string[]> => {
  const { rows } = await client.query<{ name: string; made: string }>(
    `select indexrelid::regclass::text as name, replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ') as made
     from pg_index where indrelid = 'audit_events'::regclass`,
  );
  for (const { name } of rows) await client.query(`drop index ${name}`);
  return rows.map(({ made }) => made);
};
