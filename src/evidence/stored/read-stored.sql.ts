import type { Pool } from 'pg';
import {
  columnExpressions,
  columnSource,
  type Defect,
  exactText,
  shortColumnSource,
} from '../../ingest/entries/entry.ts';
import { inTransaction, longStatement } from '../../postgres/pool.ts';
import { isDataFault } from '../../postgres/sql-state.ts';
import type { NumberedSource } from '../append/logs.ts';
import { readMonthKeys } from '../builder/load-logs.sql.ts';
import { bundleFiles, checkpointPath, logTilePath, tileSourcesPath } from '../bundle/layout.ts';
import { HASH_BYTES } from '../bytes.ts';
import { readReads } from '../export/copy-logs.sql.ts';
import { writeJournal } from '../journal/statement-text.ts';
import type { LogName } from '../notes/checkpoint.ts';
import { widthOfTile } from '../tree/tiles.ts';
import type { Report } from '../verify/report.ts';
import type { NewestCheckpoint } from './evidence-status.sql.ts';

export interface StoredChain extends NumberedSource {
  readonly chain: Buffer;
}

type CheckpointRow = Omit<NewestCheckpoint, 'root' | 'madeAt'>;

export type StoredEvidence = NonNullable<Awaited<ReturnType<typeof readStored>>>;

/** By the names of a bundle. Undefined: nothing is signed yet. Takes 32 bytes of memory for each event. */
export const readStored = async (pool: Pool) => {
  const { rows: checkpoints } = await pool.query<CheckpointRow>(
    `select l.name as log, l.origin, l.generation, c.size::float8 as size, c.note from evidence_logs l cross join lateral (
       select size, note from evidence_checkpoints c where c.log = l.name and c.generation = l.generation
       order by c.size desc limit 1) as c
     where l.generation = (select max(generation) from evidence_logs)`,
  );
  const find = (name: LogName) => checkpoints.find(({ log }) => log === name);
  const [events, journal] = [find('events'), find('journal')];
  if (events === undefined || journal === undefined) return undefined;
  const { generation } = events;
  const files = new Map<string, Buffer>();
  for (const checkpoint of checkpoints) await addLog(pool, files, checkpoint);
  const { rows: texts } = await pool.query<{ text: string }>(longStatement(allStatements, [generation, journal.size]));
  files.set(bundleFiles.journalEntries, Buffer.from(writeJournal(texts.map(({ text }) => text))));
  return {
    reader: { paths: [...files.keys()], read: (path: string) => files.get(path) },
    origins: { events: events.origin, journal: journal.origin },
    monthKeys: await readMonthKeys(pool),
    chains: await readChains(pool, generation, events.size),
    outside: await readOutside(pool),
    /** Lines of `journal/reads.ndjson`; one is valid only while it is handed over. */
    copyReads: (take: (line: Buffer) => void) =>
      inTransaction(pool, (client) => readReads(client, { generation, size: journal.size }, take)),
  };
};

const allStatements = 'select text from evidence_journal where generation = $1 and index < $2 order by index';

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

/** At positions that were never given out; the first of them are named. */
const readOutside = async (pool: Pool) => {
  const { rows } = await pool.query<{ readonly count: number; readonly positions: readonly number[] }>(
    longStatement(`select count(*)::float8 as count, coalesce((array_agg(position::float8 order by position))[:20], '{}') as positions
      from audit_events where position < 1 or position > (select h.position from feed_head h)`),
  );
  return rows[0] ?? { count: 0, positions: [] };
};

/** Undefined if there are more leaves than the checkpoint has. */
const readChains = async (pool: Pool, generation: number, size: number): Promise<StoredChain[] | undefined> => {
  const { rows } = await pool.query<StoredChain & { readonly size: number }>(
    `select l.size::float8 as size, s.number, s.source_kind as kind, s.source_id as id, s.events::float8 as events, s.chain
     from evidence_logs l join evidence_sources s on s.generation = l.generation
     where l.name = 'events' and l.generation = $1 order by s.number`,
    [generation],
  );
  return rows.every((row) => row.size === size) ? rows : undefined;
};

const POSITIONS_AT_ONCE = 20_000;
/** With defects: their payload comes here. */
const EVENTS_AT_ONCE = 200;
/** Younger than the table: empty in events that were stored before. */
const later: readonly string[] = ['account_id', 'account_name', 'zone_id', 'zone_name'];
const EMPTY = 'that the empty columns of account and zone are what raw says,';

interface Difference {
  readonly position: number;
  readonly other: readonly string[];
  /** One of the later columns is empty, and `raw` has a value for it. */
  readonly isEmpty: boolean;
}

/** `value` is what `raw` says. */
const namesOf = (condition: (name: string, value: string) => string): string =>
  `array_remove(array[${columnExpressions
    .map(([name, value]) => `case when ${condition(name, `(${value})`)} then '${name}' end`)
    .join(', ')}], null)`;
const isOther = (name: string, value: string): string =>
  `e.${name} is distinct from ${value}${later.includes(name) ? ` and e.${name} is not null` : ''}`;
const isMissing = (name: string, value: string): string =>
  later.includes(name) ? `e.${name} is null and ${value} is not null` : 'false';

/** `source`: the jsonb from which the columns of `e` were made. */
const differences = (from: string, source: string): string => `
  select position::float8 as position, other, is_empty as "isEmpty" from (
    select e.position,
      ${namesOf(isOther)} as other,
      ${namesOf(isMissing)} <> '{}' as is_empty
    from ${from} cross join lateral (select ${source} as j offset 0) as entry) as compared
  where other <> '{}' or is_empty order by position`;

const plainEvents = differences(
  '(select * from audit_events where position > $1 and position <= $2 and defects is null) as e',
  'e.raw::jsonb',
);
const readDefective = `select position::float8 as position, raw::text as raw, defects from audit_events
  where position > $1 and position <= $2 and defects is not null order by position limit ${EVENTS_AT_ONCE}`;
const defectiveEvents = differences(
  `json_to_recordset($1::json) as given (position bigint, source text) join audit_events e on e.position = given.position`,
  'given.source::jsonb',
);

/** By the expressions that filled them. Whether `raw` is what was signed is for the leaves to say. */
export const verifyColumns = async (pool: Pool, report: Report, until: number): Promise<void> => {
  let empty = 0;
  const take = (found: readonly Difference[]) => {
    for (const { position, other, isEmpty } of found) {
      if (isEmpty) empty += 1;
      for (const name of other)
        report.fault('column', `column ${name} of event ${position} is not what raw says`, position);
    }
  };
  for (let after = 0; after < until; after += POSITIONS_AT_ONCE) {
    const end = Math.min(until, after + POSITIONS_AT_ONCE);
    await compareStoredColumns(pool, report, [after, end], take);
    await compareDefective(pool, [after, end], take);
  }
  report.claim(['column'], 'the columns beside raw are what raw says');
  if (empty > 0) report.note(`${EMPTY} of ${empty} events: raw names some, and version 0.2 had no such columns`);
};

type Range = readonly [after: number, until: number];
type Take = (found: readonly Difference[]) => void;

/** What is no jsonb, without a defect that says so, was put there by another hand. */
const compareStoredColumns = async (pool: Pool, report: Report, [after, until]: Range, take: Take): Promise<void> => {
  try {
    take((await pool.query<Difference>(longStatement(plainEvents, [after, until]))).rows);
  } catch (error) {
    if (!isDataFault(error)) throw error;
    if (until - after === 1) {
      report.fault(
        'column',
        `the columns of event ${until} cannot be compared: raw is no jsonb, and no defect says so`,
        until,
      );
      return;
    }
    const middle = Math.floor((after + until) / 2);
    await compareStoredColumns(pool, report, [after, middle], take);
    await compareStoredColumns(pool, report, [middle, until], take);
  }
};

interface DefectiveRow {
  readonly position: number;
  readonly raw: string;
  readonly defects: readonly Defect[];
}

const compareDefective = async (pool: Pool, [after, until]: Range, take: Take): Promise<void> => {
  for (let from = after; ; ) {
    const { rows } = await pool.query<DefectiveRow>(longStatement(readDefective, [from, until]));
    const given = JSON.stringify(rows.map((row) => ({ position: row.position, source: sourceOf(row) })));
    if (rows.length > 0) take((await pool.query<Difference>(longStatement(defectiveEvents, [given]))).rows);
    if (rows.length < EVENTS_AT_ONCE) return;
    from = rows.at(-1)?.position ?? until;
  }
};

/** When the event was stored. */
const sourceOf = ({ raw, defects }: DefectiveRow): string => {
  const text = exactText(raw, defects);
  const entry: unknown = JSON.parse(text);
  const short = defects.includes('column_too_long') ? shortColumnSource(entry) : undefined;
  return short ?? columnSource(entry, text, defects);
};
