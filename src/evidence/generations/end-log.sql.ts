import type { Pool } from 'pg';
import { OrgtrailError } from '../../base/errors.ts';
import { longStatement } from '../../postgres/pool.ts';
import { sqlState } from '../../postgres/sql-state.ts';
import { LogInMemory } from '../append/log.ts';
import { type EvidenceStore, tileColumns } from '../builder/evidence-store.sql.ts';
import type { StoredLog } from '../builder/ports.ts';
import { EvidenceFault } from '../bytes.ts';
import type { Fields } from '../journal/statement.ts';
import { LOG_NUMBER } from '../leaf.ts';

/** A process that builds changes the log in between. */
const ATTEMPTS = 20;
const UNIQUE_VIOLATION = '23505';

/**
 * Deletes nothing; unless `isStated`, only the database says that it ended. Throws OrgtrailError `usage` if there is no log, it has ended,
 * or nothing can be signed any more. The account must own the schema.
 */
export const endLog = async (
  pool: Pool,
  store: EvidenceStore,
  { reason, by, isStated }: { readonly reason: string; readonly by: string; readonly isStated: boolean },
): Promise<StoredLog> => {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const log = requireGoing(await store.readLog(), isStated);
    if (await endStored(pool, store, log, { reason, by, isStated })) return log;
  }
  throw new OrgtrailError('usage', 'the log grows faster than it can be ended', { hint: 'repeat the command' });
};

const requireGoing = (log: StoredLog | undefined, isStated: boolean): StoredLog => {
  if (log === undefined) throw new OrgtrailError('usage', 'there is no log to end');
  if (log.isEnded) throw new OrgtrailError('usage', 'the log has been ended already');
  const state = log.isHere ? log.state : 'of a server that failed over or was restored';
  if (!isStated || state === 'building' || state === 'ok') return log;
  throw new OrgtrailError('usage', `the log is ${state}, so that no last statement can be signed`, {
    hint: '--without-key ends it in the database alone',
  });
};

/** False: what is stored is not what was read. */
const endStored = async (
  pool: Pool,
  store: EvidenceStore,
  log: StoredLog,
  { reason, by, isStated }: { readonly reason: string; readonly by: string; readonly isStated: boolean },
): Promise<boolean> => {
  const last = isStated ? await lastLeaf(store, log, 'end', { reason, by }) : undefined;
  if (last === 'moved') return false;
  const values = last === undefined ? [log.size, log.root, ...tileColumns([]), null, null, null] : last;
  try {
    const { rows } = await pool.query<{ result: string }>(
      'select orgtrail_end_evidence($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) as result',
      [by, reason, ...values],
    );
    return rows[0]?.result === 'grown';
  } catch (error) {
    if (sqlState(error) === UNIQUE_VIOLATION) return false;
    throw error;
  }
};

/** As parameters: the size before, the root after, tiles, the chain of the log, the text. `moved`: another process has grown it since. */
const lastLeaf = async <T extends 'begin' | 'end'>(
  store: EvidenceStore,
  log: StoredLog,
  type: T,
  fields: Fields<T>,
) => {
  const memory = new LogInMemory(await store.load(log), () => {
    throw new Error('no event is appended');
  });
  if (!memory.root().equals(log.root)) {
    if ((await store.readLog())?.size !== log.size) return 'moved';
    throw new EvidenceFault('the tiles of the log do not give its root');
  }
  memory.at = log.at;
  memory.state(type, LOG_NUMBER, '', fields);
  const { tiles, statements } = memory.take();
  const { leaves, chain } = memory.chainOf(LOG_NUMBER);
  return [log.size, memory.root(), ...tileColumns(tiles), leaves, chain, statements[0]?.text];
};

/** Begins the next log of the same tree. False: the log is not what was read, or goes on. */
export const beginNext = async (
  pool: Pool,
  store: EvidenceStore,
  log: StoredLog,
  begin: Fields<'begin'>,
): Promise<boolean> => {
  const leaf = await lastLeaf(store, log, 'begin', begin);
  if (leaf === 'moved') return false;
  const { rows } = await pool.query<{ done: boolean }>(
    longStatement('select orgtrail_next_evidence($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) as done', [
      begin.number,
      ...leaf,
    ]),
  );
  return rows[0]?.done === true;
};
