import type { Pool } from 'pg';

/** How many listings of accounts there are, by how the last attempt at each ended. */
export interface AccountListings {
  /** It named some. */
  readonly listed: number;
  /** It named none. */
  readonly empty: number;
  readonly refused: number;
  readonly failed: number;
  /** Not attempted yet. */
  readonly waiting: number;
}

/** Those of organizations that are gone are left out. */
export const countAccountListings = async (pool: Pool): Promise<AccountListings> => {
  const { rows } = await pool.query<AccountListings>(
    `select count(*) filter (where state = 'listed')::integer as listed,
       count(*) filter (where state = 'empty')::integer as empty, count(*) filter (where state = 'refused')::integer as refused,
       count(*) filter (where state = 'failed')::integer as failed, count(*) filter (where state = 'waiting')::integer as waiting
     from (select case when l.last_failure in ('refused', 'unauthorized', 'not_found') then 'refused'
         when l.last_failure is not null then 'failed' when l.last_success_at is null then 'waiting'
         when l.accounts = 0 then 'empty' else 'listed' end as state
       from account_listings l left join organizations o on l.scope = 'organization:' || o.id
       where o.state is distinct from 'gone') listings`,
  );
  return rows[0] ?? { listed: 0, empty: 0, refused: 0, failed: 0, waiting: 0 };
};
