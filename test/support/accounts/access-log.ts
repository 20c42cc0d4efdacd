import type { Pool } from 'pg';
import { until } from '../process/until.ts';

/** A row of `access_log`. */
export interface AccessRow {
  readonly kind: string;
  readonly outcome: string;
  readonly who: string | null;
  readonly account: string;
  readonly address: string | null;
  readonly route: string | null;
  readonly status: number | null;
  readonly what: Readonly<Record<string, unknown>>;
  readonly events: number | null;
  readonly requests: number;
}

/** All rows, oldest first. */
export const readAccessLog = async (pool: Pool): Promise<readonly AccessRow[]> =>
  (
    await pool.query<AccessRow>(
      `select kind, outcome, who, account, address, route, status, what, events::float8 as events,
         requests::float8 as requests from access_log order by id`,
    )
  ).rows;

/** Once a row has these values, the first one that does. */
export const untilNoted = async (pool: Pool, wanted: Partial<AccessRow>): Promise<AccessRow> => {
  const find = async () =>
    (await readAccessLog(pool)).find((row) =>
      Object.entries(wanted).every(([name, value]) => row[name as keyof AccessRow] === value),
    );
  await until(`access_log has ${JSON.stringify(wanted)}`, async () => (await find()) !== undefined);
  return (await find()) as AccessRow;
};
