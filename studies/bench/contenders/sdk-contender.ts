import Cloudflare from 'cloudflare';
import { Pool } from 'pg';
import { type ApiEntry, rowColumns, rowOf } from '../event-row.ts';
import { window } from '../served/api-pages.ts';
import type { Contender, ContenderOptions } from './contender.ts';

/** The columns of the table, and as many rows of parameters. */
const insert = (rows: number): string => {
  const row = (n: number) => `(${rowColumns.map((_, column) => `$${n * rowColumns.length + column + 1}`).join(', ')})`;
  const values = Array.from({ length: rows }, (_, n) => row(n)).join(', ');
  return `insert into audit_events (${rowColumns.join(', ')}) values ${values} on conflict do nothing`;
};

/**
 * As people write it: the official SDK, a loop over organizations and pages, an awaited INSERT of so many rows at a time. The SDK's
 * own paging reads `cursors.after`, which the API does not send: the cursor is handed on by hand.
 */
export const sdkContender = (rowsPerInsert: number): Contender => {
  let options: ContenderOptions | undefined;
  let pool: Pool | undefined;
  let client: Cloudflare | undefined;
  let statements = new Map<number, string>();

  const store = async (entries: readonly ApiEntry[], organizationId: string, position: number): Promise<void> => {
    for (let from = 0; from < entries.length; from += rowsPerInsert) {
      const batch = entries.slice(from, from + rowsPerInsert);
      const values = batch.flatMap((entry, n) =>
        rowOf(entry, organizationId, position + from + n + 1, JSON.stringify(entry)),
      );
      const text = statements.get(batch.length) ?? insert(batch.length);
      statements.set(batch.length, text);
      await pool?.query(text, values);
    }
  };

  return {
    prepare: async (given) => {
      if (options?.databaseUrl === given.databaseUrl && options.baseUrl === given.baseUrl) return;
      options = given;
      await pool?.end();
      pool = new Pool({ connectionString: given.databaseUrl, max: 1 });
      client = new Cloudflare({ apiToken: 'token-of-the-benchmark', baseURL: given.baseUrl });
      statements = new Map();
    },
    run: async () => {
      let stored = 0;
      for (const id of options?.organizations ?? []) {
        let cursor: string | undefined;
        do {
          const query = { ...window, direction: 'asc' as const, limit: 1_000, ...(cursor && { cursor }) };
          const page = await client?.organizations.logs.audit.list(id, query);
          const entries = (page?.result ?? []) as unknown as readonly ApiEntry[];
          await store(entries, id, stored);
          stored += entries.length;
          cursor = (page?.result_info as { cursor?: string } | undefined)?.cursor;
          if (stored >= (options?.entries ?? 0)) return stored;
        } while (cursor !== undefined);
      }
      return stored;
    },
    close: async () => void (await pool?.end()),
  };
};
