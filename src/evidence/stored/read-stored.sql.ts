import type { Pool } from 'pg';
import { inTransaction, longStatement } from '../../postgres/pool.ts';
import { type BundleReader, bundleFiles, checkpointPath, logTilePath, tileSourcesPath } from '../bundle/layout.ts';
import { HASH_BYTES } from '../crypto/sha256.ts';
import { readReads } from '../export/copy-reads.sql.ts';
import { writeJournal } from '../journal/statement-text.ts';
import type { LogName } from '../notes/origin.ts';
import { widthOfTile } from '../tree/tiles.ts';

/** What is stored of the evidence, as of its last signed checkpoints, by the names of a bundle. */
export interface StoredEvidence {
  readonly reader: BundleReader;
  readonly origins: Readonly<Record<LogName, string>>;
  readonly monthKeys: ReadonlyMap<string, Buffer>;
  /** The chains as they are stored; undefined if there are more leaves than the checkpoint has. */
  readonly chains: readonly StoredChain[] | undefined;
  /** Hands over the lines of `journal/reads.ndjson`; one is valid only while it is handed over. */
  copyReads(take: (line: Buffer) => void): Promise<void>;
  /** Events at positions that were never given out: how many there are, and the first of them. */
  readonly outside: { readonly count: number; readonly positions: readonly number[] };
}

export interface StoredChain {
  readonly number: number;
  readonly kind: string;
  readonly id: string;
  readonly events: number;
  readonly chain: Buffer;
}

interface CheckpointRow {
  readonly log: LogName;
  readonly origin: string;
  readonly generation: number;
  readonly size: number;
  readonly note: string;
}

/** Undefined: nothing is signed yet. The tiles are read into memory, 32 bytes for each event. */
export const readStored = async (pool: Pool): Promise<StoredEvidence | undefined> => {
  const { rows: checkpoints } = await pool.query<CheckpointRow>(
    `select l.name as log, l.origin, l.generation, c.size::float8 as size, c.note from evidence_logs l cross join lateral (
       select size, note from evidence_checkpoints c where c.log = l.name and c.generation = l.generation
       order by c.size desc limit 1) as c
     where l.generation = (select max(generation) from evidence_logs)`,
  );
  const [events, journal] = [
    checkpoints.find(({ log }) => log === 'events'),
    checkpoints.find(({ log }) => log === 'journal'),
  ];
  if (events === undefined || journal === undefined) return undefined;
  const { generation } = events;
  const files = new Map<string, Buffer>();
  for (const checkpoint of checkpoints) await addLog(pool, files, checkpoint);
  const { rows: texts } = await pool.query<{ text: string }>(
    longStatement('select text from evidence_journal where generation = $1 and index < $2 order by index', [
      generation,
      journal.size,
    ]),
  );
  files.set(bundleFiles.journalEntries, Buffer.from(writeJournal(texts.map(({ text }) => text))));
  const { rows: keys } = await pool.query<{ month: string; key: Buffer }>('select month, key from evidence_month_keys');
  return {
    reader: { paths: [...files.keys()], read: (path) => files.get(path) },
    origins: { events: events.origin, journal: journal.origin },
    monthKeys: new Map(keys.map(({ month, key }) => [month, key])),
    chains: await readChains(pool, generation, events.size),
    outside: await readOutside(pool),
    copyReads: (take) => inTransaction(pool, (client) => readReads(client, { generation, size: journal.size }, take)),
  };
};

const addLog = async (pool: Pool, files: Map<string, Buffer>, { log, generation, size, note }: CheckpointRow) => {
  files.set(checkpointPath(log), Buffer.from(note));
  const { rows: tiles } = await pool.query<{ level: number; n: number; hashes: Buffer; sources: Buffer | null }>(
    longStatement(
      'select level, n::float8 as n, hashes, sources from evidence_tiles where log = $1 and generation = $2',
      [log, generation],
    ),
  );
  for (const { level, n, hashes, sources } of tiles) {
    const width = widthOfTile(size, level, n);
    // What has been appended since.
    if (width <= 0) continue;
    const tile = { level, n, width };
    files.set(logTilePath(log, tile), hashes.subarray(0, width * HASH_BYTES));
    if (sources !== null) files.set(tileSourcesPath(tile), sources.subarray(0, 2 * width));
  }
};

const readOutside = async (pool: Pool): Promise<StoredEvidence['outside']> => {
  const { rows } = await pool.query<StoredEvidence['outside']>(
    longStatement(`select count(*)::float8 as count, coalesce((array_agg(position::float8 order by position))[:20], '{}') as positions
      from audit_events where position < 1 or position > (select h.position from feed_head h)`),
  );
  return rows[0] ?? { count: 0, positions: [] };
};

const readChains = async (pool: Pool, generation: number, size: number): Promise<StoredEvidence['chains']> => {
  const { rows } = await pool.query<StoredChain & { readonly size: number }>(
    `select l.size::float8 as size, s.number, s.source_kind as kind, s.source_id as id, s.events::float8 as events, s.chain
     from evidence_logs l join evidence_sources s on s.generation = l.generation
     where l.name = 'events' and l.generation = $1 order by s.number`,
    [generation],
  );
  return rows.every((row) => row.size === size) ? rows : undefined;
};
