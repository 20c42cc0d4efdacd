import type { Pool } from 'pg';
import { OrgtrailError } from '../../base/errors.ts';
import { longStatement } from '../../postgres/pool.ts';
import { sqlState } from '../../postgres/sql-state.ts';
import { LogsInMemory } from '../append/logs.ts';
import { type NewEntry, newEntry } from '../append/new-statements.ts';
import type { EvidenceStore } from '../builder/evidence-store.sql.ts';
import type { StoredLogs } from '../builder/ports.ts';
import { EvidenceFault } from '../bytes.ts';
import type { StatementOf } from '../journal/statement.ts';
import type { Tile } from '../tree/growing-tree.ts';

/** A process that builds changes the log in between. */
const ATTEMPTS = 20;

/**
 * Deletes nothing; unless `isStated`, only the database says that it ended. Throws OrgtrailError `usage` if there is no log, it has ended,
 * or nothing can be signed any more.
 */
export const endLog = async ({
  store,
  generations,
  reason,
  by,
  isStated,
}: {
  readonly store: EvidenceStore;
  readonly generations: GenerationStore;
  readonly reason: string;
  readonly by: string;
  readonly isStated: boolean;
}): Promise<StoredLogs> => {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const logs = requireGoing(await store.readLogs(), isStated);
    const journal = isStated ? await lastJournal(store, logs, reason, by) : undefined;
    if (journal !== 'moved' && (await generations.end(logs, by, reason, journal))) return logs;
  }
  throw new OrgtrailError('usage', 'the log grows faster than it can be ended', { hint: 'repeat the command' });
};

const requireGoing = (logs: StoredLogs | undefined, isStated: boolean): StoredLogs => {
  if (logs === undefined) throw new OrgtrailError('usage', 'there is no log to end');
  if (logs.isEnded) throw new OrgtrailError('usage', 'the log has been ended already');
  const state = logs.isHere ? logs.state : 'of a server that failed over or was restored';
  if (!isStated || state === 'building' || state === 'ok') return logs;
  throw new OrgtrailError('usage', `the log is ${state}, so that no last statement can be signed`, {
    hint: '--without-key ends it in the database alone',
  });
};

/** `moved`: another process has grown it since. */
const lastJournal = async (store: EvidenceStore, logs: StoredLogs, reason: string, by: string) => {
  const { at, events, journal } = logs;
  const loaded = await store.load(logs);
  const memory = new LogsInMemory(loaded, () => {
    throw new Error('no event is appended');
  });
  if (!memory.rootOf('journal').equals(journal.root)) {
    if ((await store.readLogs())?.journal.size !== journal.size) return 'moved';
    throw new EvidenceFault('the tiles of journal do not give its root');
  }
  const { origin, size, root } = events;
  const tree = { origin, size, root: root.toString('base64') };
  const entry = newEntry('1', { type: 'end', at, tree, reason, by });
  memory.state([entry]);
  return { entries: [entry], tiles: memory.take().tiles, root: memory.rootOf('journal') };
};

/** At the beginning or the end of a generation, with the tiles that change. */
export interface NewJournal {
  readonly entries: readonly NewEntry[];
  readonly tiles: readonly Tile[];
  readonly root: Buffer;
}

interface CopiedTiles {
  readonly level: number;
  readonly n: number;
  /** Of this call. */
  readonly tiles: number;
}

const UNIQUE_VIOLATION = '23505';

/** Every method is one statement; the account must own the schema. */
export const createGenerationStore = (pool: Pool) => ({
  countTiles: async (generation: number) => {
    const sql = `select count(*)::float8 as tiles from evidence_tiles where log = 'events' and generation = $1`;
    return (await pool.query<{ tiles: number }>(longStatement(sql, [generation]))).rows[0]?.tiles ?? 0;
  },
  /** Of the events, the largest first. */
  readNotes: async (generation: number) => {
    const sql = `select note from evidence_checkpoints where log = 'events' and generation = $1 order by size desc`;
    return (await pool.query<{ note: string }>(longStatement(sql, [generation]))).rows.map(({ note }) => note);
  },
  readSources: async (generation: number) => {
    const sql = `select number, source_kind as kind, source_id as id from evidence_sources where generation = $1 order by number`;
    return (await pool.query<{ number: number; kind: string; id: string }>(sql, [generation])).rows;
  },
  readHolds: async (generation: number) => {
    const sql = `select text from evidence_journal where generation = $1 and kind = 'hold' order by index`;
    return (await pool.query<{ text: string }>(sql, [generation])).rows.map(({ text }) => text);
  },
  uncovered: (stated: readonly StatementOf<'hold'>[]) => uncovered(pool, stated),
  /** Undefined: all are there. */
  copyTiles: async (generation: number, next: number, after: CopiedTiles, limit: number) => {
    const { rows } = await pool.query<CopiedTiles>(
      'select level, n::float8 as n, tiles::float8 as tiles from orgtrail_copy_evidence($1, $2, $3, $4, $5)',
      [generation, next, after.level, after.n, limit],
    );
    return rows[0];
  },
  /** False: what is stored is not what was read. */
  fork: async (
    { generation, events: { size, root } }: StoredLogs,
    next: number,
    origins: readonly [events: string, journal: string],
    journal: NewJournal,
  ) => {
    const { rows } = await pool.query<{ done: boolean }>(
      longStatement('select orgtrail_fork_evidence($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) as done', [
        generation,
        next,
        size,
        root,
        ...origins,
        journal.root,
        ...tileColumns(journal.tiles),
        journal.entries.map(({ kind }) => kind),
        journal.entries.map(({ ref }) => ref),
        journal.entries.map(({ text }) => text),
      ]),
    );
    return rows[0]?.done === true;
  },
  end: (logs: StoredLogs, by: string, reason: string, journal: NewJournal | undefined) =>
    endStored(pool, logs, by, reason, journal),
});

export type GenerationStore = ReturnType<typeof createGenerationStore>;

/** The last statement is that of `journal`. False: what is stored is not what was read. */
const endStored = async (
  pool: Pool,
  { generation, events, journal: { size } }: StoredLogs,
  by: string,
  reason: string,
  journal: NewJournal | undefined,
) => {
  try {
    const { rows } = await pool.query<{ result: string }>(
      'select orgtrail_end_evidence($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) as result',
      [
        generation,
        by,
        reason,
        events.size,
        events.root,
        size,
        journal?.root ?? null,
        ...tileColumns(journal?.tiles ?? []),
        journal?.entries[0]?.text ?? null,
      ],
    );
    return rows[0]?.result === 'grown';
  } catch (error) {
    if (sqlState(error) === UNIQUE_VIOLATION) return false;
    throw error;
  }
};

/** Those that the database does not have and that no hold in force covers. */
const uncovered = async (pool: Pool, stated: readonly StatementOf<'hold'>[]) => {
  const { rows } = await pool.query<{ place: number }>(
    `select s.place::integer as place from unnest($1::bigint[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[])
       with ordinality as s (id, organization_id, account_id, since, before, created_at, place)
     where not exists (select from holds h where h.id = s.id and h.created_at = s.created_at) and not exists (
       select from holds h where h.released_at is null
         and (h.organization_id is null or h.organization_id = s.organization_id) and (h.account_id is null or h.account_id = s.account_id)
         and h.since <= coalesce(s.since, '-infinity') and h.before >= coalesce(s.before, 'infinity'))
     order by s.place`,
    (['id', 'organization_id', 'account_id', 'since', 'before', 'created_at'] as const).map((name) =>
      stated.map((hold) => hold[name]),
    ),
  );
  return rows.flatMap(({ place }) => stated[place - 1] ?? []);
};

const tileColumns = (tiles: readonly Tile[]) => [
  tiles.map(({ level }) => level),
  tiles.map(({ n }) => n),
  tiles.map(({ hashes }) => hashes),
];
