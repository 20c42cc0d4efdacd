import type { Pool, PoolClient } from 'pg';
import { OrgtrailError, reasonOf, SearchError } from '../../base/errors.ts';
import { isTimeout, type Row, readOnly, selectList, storable } from '../queries.ts';
import { sqlState } from '../sql-state.ts';
import { accessLog } from '../tables/access.ts';
import type { AccessNote } from './access.ts';

const TIMEOUT_MS = 5_000;
const LOCK_NOT_AVAILABLE = '55P03';

const { id, kind, outcome, who, account, address, route, status, what, events, requests } = accessLog;
const columns = { id, kind, outcome, who, account, address, route, status, what, events, requests };

/** What it says of a request comes from who sent that. `at`: to the microsecond, as PostgreSQL writes it in UTC. */
export type ShownAccess = Row<typeof columns> & { readonly at: string };

export interface AccessCursor {
  readonly at: string;
  readonly id: number;
}

export interface AskedAccess {
  /** `sessionProof` of the session that asks; undefined: it is none. */
  readonly session: Buffer | undefined;
  /** Undefined: ORGTRAIL_FEED_TOKEN, or a local request. */
  readonly token: string | undefined;
  readonly who: string | undefined;
  readonly kind: string | undefined;
  /** RFC 3339, inclusive. */
  readonly since: string | undefined;
  /** RFC 3339, exclusive. */
  readonly before: string | undefined;
  readonly from: AccessCursor | undefined;
  readonly limit: number;
}

export interface AccessPage {
  /** `own`: rows of the token of the session alone. */
  readonly shown: 'all' | 'own' | 'none';
  /** False for a token of an earlier version. */
  readonly canProve: boolean;
  readonly rows: readonly ShownAccess[];
  readonly next: AccessCursor | undefined;
}

/** What the database lets this session see (docs/decisions/12). Rejects with SearchError `timeout` if that takes too long. */
export const readAccessPage = async (pool: Pool, asked: AskedAccess): Promise<AccessPage> => {
  try {
    return await readOnly(pool, TIMEOUT_MS, (client) => readPage(client, asked));
  } catch (error) {
    if (isTimeout(error)) {
      throw new SearchError('timeout', 'the trail of access takes too long: ask about less time', { cause: error });
    }
    throw error;
  }
};

const readPage = async (client: PoolClient, asked: AskedAccess): Promise<AccessPage> => {
  const { session = null, token = null } = asked;
  const state = await client.query<Pick<AccessPage, 'shown' | 'canProve'>>(
    `select shown, exists (select from access_tokens t where t.name = $2 and t.revoked_at is null and t.access_log_proof is not null) as "canProve"
     from orgtrail_access_log_shown($1, $2)`,
    [session, token],
  );
  const { shown = 'none', canProve = false } = state.rows[0] ?? {};
  if (shown === 'none') return { shown, canProve, rows: [], next: undefined };
  const { rows } = await client.query<ShownAccess>(statement, [
    session,
    token,
    asked.who ?? null,
    asked.kind ?? null,
    asked.since ?? null,
    asked.before ?? null,
    asked.from?.at ?? null,
    asked.from?.id ?? null,
    asked.limit + 1,
  ]);
  const page = rows.slice(0, asked.limit);
  const last = page.at(-1);
  return {
    shown,
    canProve,
    rows: page,
    next: rows.length > page.length && last ? { at: last.at, id: last.id } : undefined,
  };
};

const statement = `select ${selectList('l', columns)}, l.at::text as at
  from orgtrail_read_access_log($1, $2, $3, $4, $5, $6, $7, $8, $9) l order by l.at desc, l.id desc`;

/** All or none. Rejects if the database does not answer or refuses it. */
export const noteAccess = async (pool: Pool, notes: readonly AccessNote[]): Promise<void> => {
  await pool.query('select orgtrail_note_access($1::jsonb)', [JSON.stringify(notes, storable)]);
};

/** Who orders over HTTP or in the console. */
interface Giver {
  /** `tokenProof` of a token with the scope manage, or `sessionProof`. */
  readonly proof: Buffer;
  /** Undefined: by a model, on this machine. */
  readonly address?: string | undefined;
  readonly route: string;
}

export interface OperationSource {
  readonly pool: Pool;
  /** Events that retention drops are kept in an archive. */
  readonly hasArchive: boolean;
  /** Undefined: the account of the database, which then must have the right itself. */
  readonly giver?: Giver | undefined;
}

export type Ordering = Pick<OperationSource, 'pool' | 'giver'>;

/** The server may name the parameters of a statement that fails. One is the proof. */
const withoutParameters = (error: unknown): unknown => {
  if (error instanceof Error) Object.assign(error, { where: undefined, detail: undefined });
  return error;
};

/** With its row of the trail. Undefined: there was nothing to do. Throws OrgtrailError `configuration` for who may not. */
export const giveOrder = async <Done>(
  { pool, giver }: Ordering,
  order: string,
  given: Readonly<Record<string, unknown>>,
): Promise<Done | undefined> => {
  const { proof = null, address = null, route = order } = giver ?? {};
  const text = JSON.stringify(given, storable);
  const parameters = [order, text, proof, address, route];
  const statement = 'select orgtrail_order($1, $2::jsonb, $3, $4, $5) as done';
  const asked = pool.query<{ done: Done | null }>(statement, parameters);
  const { rows } = await asked.catch((error: unknown) => {
    if (sqlState(error) === LOCK_NOT_AVAILABLE) {
      throw new SearchError('timeout', 'the order waited for a lock, and nothing was done: try again', {
        cause: error,
      });
    }
    if (sqlState(error) !== '42501' || reasonOf(error).startsWith('permission denied')) throw withoutParameters(error);
    const hint =
      giver === undefined
        ? 'run it with a DATABASE_URL of the account that owns the schema'
        : 'use a token that was made for it: orgtrail token create NAME --scope manage';
    throw new OrgtrailError('configuration', reasonOf(error), { hint, cause: error });
  });
  return rows[0]?.done ?? undefined;
};
