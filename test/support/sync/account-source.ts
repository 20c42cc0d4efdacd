import type { Pool } from 'pg';
import type { Lease } from '../../../src/ingest/planning/source.ts';
import { nameAccounts } from '../../../src/ingest/sync/discovery/accounts.sql.ts';
import { claimSource } from '../../../src/ingest/sync/store/leases.sql.ts';
import { syncSources } from '../../../src/ingest/sync/store/sources.sql.ts';
import { entryText, FILTERS, HISTORY_MS, HORIZON, LEASE_MS, organizationKind, T0 } from '../postgres/store-fixture.ts';

/** The log of an account, with its lease; the account belongs to the organization, if one is given and known. */
export const newAccountSource = async (
  pool: Pool,
  id: string,
  organizationId: string | null = null,
): Promise<Lease> => {
  await nameAccounts(pool, [id]);
  await pool.query('update accounts set organization_id = $2 where id = $1', [id, organizationId]);
  const [policy] = organizationKind();
  if (policy === undefined) throw new Error('no kind');
  await syncSources(pool, [{ ...policy, kind: 'account' }], HORIZON, HISTORY_MS);
  const claimed = await claimSource(pool, { kind: 'account', id }, 'host/1/test', LEASE_MS, FILTERS);
  if (claimed === undefined) throw new Error(`the source ${id} is held by another process`);
  return claimed.lease;
};

type Part = Readonly<Record<string, unknown>>;

/** The text of the copy of an entry about a user in the log of an account. */
export const userEntryText = (id: string, accountId: string, more: Part = {}, timeMs = T0): string =>
  entryText(id, timeMs, {
    account: { id: accountId, name: `Name of ${accountId}` },
    resource: { scope: 'user', type: 'session', product: 'login' },
    ...more,
  });
