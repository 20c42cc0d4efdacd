import { OrgtrailError } from '../../base/errors.ts';
import type { Pool } from '../../postgres/pool.ts';
import { everyKey, type KeyHistory, statementOf, stolenKeys } from '../append/keys-in-force.ts';
import { requireOrigin } from '../builder/builder.ts';
import type { EvidenceStore } from '../builder/evidence-store.sql.ts';
import { rootOfFirst } from '../builder/known-checkpoints.ts';
import type { StoredLog } from '../builder/ports.ts';
import type { StatementOf } from '../journal/statement.ts';
import { writeOrigin } from '../notes/checkpoint.ts';
import { beginNext } from './end-log.sql.ts';
import { believed, type KnownNote } from './known-checkpoints.ts';

export interface NextOptions {
  readonly base: string;
  readonly publicKey: Buffer;
  readonly keys: KeyHistory;
  readonly version: string;
  readonly reason: string;
  readonly by: string;
  /** Of anchors and of the operator. */
  readonly known: readonly KnownNote[];
  /** Kept elsewhere; holds in them may be lost here. Undefined: none could be read. */
  readonly statements: readonly string[] | undefined;
  readonly withoutHolds: boolean;
}

export interface NextLog {
  readonly number: number;
  readonly oldOrigin: string;
  readonly origin: string;
  /** Leaves that are certain to be those of the log before. */
  readonly carried: number;
  /** Of the largest checkpoint that is known of it. */
  readonly knownSize: number;
  readonly lost: number;
  readonly previous: string | null;
  readonly lostHolds: readonly StatementOf<'hold'>[];
}

/** Throws OrgtrailError `usage` for a log that no other may follow. */
export const requireStopped = (log: StoredLog | undefined): StoredLog => {
  if (log === undefined) {
    throw new OrgtrailError('usage', 'there is no log yet', { hint: '`orgtrail evidence init` begins it' });
  }
  if (log.isEnded || log.state === 'behind') return log;
  const hint = !log.isHere
    ? 'a process that has the key compares it first. If a restore took the database back to before this key, order that once more: `orgtrail evidence key --rotate --reason lost`'
    : log.state === 'halted'
      ? 'find out what it says, or end the log: `orgtrail evidence end`. The next one would hide it'
      : 'a log that can go on keeps its name: `orgtrail evidence status`';
  const message = `the log is ${log.state}: only one that is behind or was ended is followed by another`;
  throw new OrgtrailError('usage', message, { hint });
};

/**
 * Nothing is hashed again: the next log has the same tree, and its first leaf says what of the one before is lost. May be repeated.
 * Throws OrgtrailError `usage` if it must not be.
 */
export const nextLog = async (pool: Pool, store: EvidenceStore, options: NextOptions): Promise<NextLog> => {
  const { base, publicKey, keys, known, version, reason, by } = options;
  const log = requireStopped(await store.readLog());
  requireOrigin(log, base);
  if (stolenKeys(keys).includes(publicKey.toString('hex'))) {
    throw new OrgtrailError(
      'usage',
      'this key was stated as compromised: no verifier would take a log that begins with it',
      {
        hint: 'set ORGTRAIL_EVIDENCE_KEY_FILE to the key that replaced it',
      },
    );
  }
  const { feedId, size } = log;
  const lostHolds = await findLostHolds(pool, options);
  const publicKeys = [publicKey, ...everyKey(keys).map((key) => Buffer.from(key, 'hex'))];
  const stored = (await readNotes(pool)).flatMap(({ number, note }) => {
    const one = believed(Buffer.from(note), { base, feedId, number }, ...publicKeys);
    return one === undefined ? [] : [one];
  });
  const all = [...known, ...stored];
  const isHeld = (one: KnownNote) => isInTree(store, size, one);
  const last = all.toSorted((a, b) => b.number - a.number || b.size - a.size)[0];
  const carried = last === undefined ? 0 : (await isHeld(last)) ? last.size : await certain(last, all, isHeld);
  const number = 1 + Math.max(log.number, ...all.map((one) => one.number));
  const lost_holds = options.statements === undefined ? null : lostHolds.map(({ id }) => id);
  const previous = last?.note ?? null;
  const said = { format: 2, number, base, feed_id: feedId, key: publicKey.toString('hex'), version } as const;
  const adopted_position = log.adoptedPosition;
  if (!(await beginNext(pool, store, log, { ...said, previous, carried, lost_holds, adopted_position, reason, by }))) {
    throw new OrgtrailError('usage', 'the log is not what it was a moment ago: another process has changed it');
  }
  const origin = writeOrigin({ base, feedId, number });
  const [oldOrigin, knownSize] = [log.origin, last?.size ?? 0];
  return { number, oldOrigin, origin, carried, knownSize, lost: knownSize - carried, previous, lostHolds };
};

/** Whether these leaves are the first of the stored ones. */
export const isInTree = async (
  store: EvidenceStore,
  size: number,
  known: Pick<KnownNote, 'size' | 'root'>,
): Promise<boolean> => known.size <= size && (await rootOfFirst(store.readTiles, size, known.size)).equals(known.root);

/** The largest checkpoint not above the last one that the tree goes on from, below the smallest that it contradicts. */
const certain = async (
  last: KnownNote,
  all: readonly KnownNote[],
  isHeld: (one: KnownNote) => Promise<boolean>,
): Promise<number> => {
  let carried = 0;
  for (const one of all.filter(({ size }) => size <= last.size).toSorted((a, b) => a.size - b.size)) {
    if (await isHeld(one)) carried = one.size;
    else if (one.number === last.number) break;
  }
  return carried;
};

const MAX_NOTES = 100;

/** The newest that are stored. */
const readNotes = async (pool: Pool) => {
  const sql = `select number, note from evidence_checkpoints order by number desc, size desc limit ${MAX_NOTES}`;
  return (await pool.query<{ number: number; note: string }>(sql)).rows;
};

const findLostHolds = async (
  pool: Pool,
  { statements = [], withoutHolds }: NextOptions,
): Promise<readonly StatementOf<'hold'>[]> => {
  const { rows: own } = await pool.query<{ text: string }>(
    `select text from evidence_statements where type = 'hold' order by index`,
  );
  const inForce = holdsInForce([...own.map(({ text }) => text), ...statements]);
  const { rows } = await pool.query<{ place: number }>(
    `select s.place::integer as place from unnest($1::bigint[], $2::timestamptz[]) with ordinality as s (id, created_at, place)
     where not exists (select from holds h where h.id = s.id and h.created_at = s.created_at) order by s.place`,
    [inForce.map(({ id }) => id), inForce.map(({ done_at }) => done_at)],
  );
  const lost = rows.flatMap(({ place }) => inForce[place - 1] ?? []);
  if (lost.length === 0 || withoutHolds) return lost;
  const named = lost.map(
    ({ id, source, since, before, reason, done_at }) =>
      `\n  hold ${id} of ${done_at}, ${source === 0 ? 'of everything' : `of source ${source}`}, ` +
      `from ${since ?? 'the beginning'} to ${before ?? 'the end'}: ${reason}`,
  );
  throw new OrgtrailError('usage', `holds of the old log are not here:${named.join('')}`, {
    hint: 'add each again (`orgtrail hold add`), and go on without the old ones: --without-holds',
  });
};

/** An id comes again only if an earlier hold was lost. */
const holdsInForce = (texts: readonly string[]): StatementOf<'hold'>[] => {
  const stated = texts.map(statementOf).filter((one) => one?.type === 'hold');
  const released = stated.filter(({ action }) => action === 'released');
  const added = new Map(
    stated.filter(({ action }) => action === 'added').map((hold) => [`${hold.id} ${hold.done_at}`, hold]),
  );
  return [...added.values()].filter(
    ({ id, done_at }) => !released.some((one) => one.id === id && one.done_at >= done_at),
  );
};
