import type { PoolClient } from 'pg';
import { type BinaryRow, copyWithin } from '../../postgres/copy.ts';
import { longStatement } from '../../postgres/pool.ts';
import { readMonthKeys } from '../builder/load-logs.sql.ts';
import {
  ANCHORS_FOLDER,
  type BundleTime,
  bundleFiles,
  checkpointPath,
  logTilePath,
  tileSourcesPath,
  timeStampPath,
} from '../bundle/layout.ts';
import { HASH_BYTES } from '../bytes.ts';
import type { FileWriter, FolderWriter } from '../files/folder-writer.ts';
import type { LogName } from '../notes/checkpoint.ts';
import type { Policy } from '../notes/policy.ts';
import { isBySome, parseNote } from '../notes/signed-note.ts';
import { widthOfTile } from '../tree/tiles.ts';
import type { ExportedLogs } from './snapshot.sql.ts';

/** What is the same in every bundle of all sources. */
export const copyLogs = async (
  client: PoolClient,
  logs: ExportedLogs,
  writer: FolderWriter,
  { time, signal }: ChangesOptions,
): Promise<void> => {
  for (const log of ['events', 'journal'] as const) {
    writer.write(checkpointPath(log), Buffer.from(logs[log].note));
    await copyTiles(client, log, logs, writer, signal);
  }
  await copyJournal(client, logs, writer, signal);
  await copyChanges(client, logs, writer, { time, signal });
};

const copyTiles = async (
  client: PoolClient,
  log: LogName,
  logs: ExportedLogs,
  writer: FolderWriter,
  signal: AbortSignal | undefined,
): Promise<void> => {
  const query = `select level::integer, n, hashes, sources from evidence_tiles
    where log = '${log}' and generation = ${integer(logs.generation)} order by level, n`;
  const take = (row: BinaryRow) => {
    const { bytes, starts } = row;
    const level = bytes.readInt32BE(starts[0]);
    const n = Number(bytes.readBigInt64BE(starts[1]));
    const width = widthOfTile(logs[log].size, level, n);
    // What has been appended since.
    if (width <= 0) return;
    const tile = { level, n, width };
    writer.write(logTilePath(log, tile), field(row, 2).subarray(0, width * HASH_BYTES));
    if (log === 'events' && level === 0) writer.write(tileSourcesPath(tile), field(row, 3).subarray(0, 2 * width));
  };
  await copyWithin(client, query, take, { signal, long: true });
};

const copyJournal = async (
  client: PoolClient,
  { generation, journal }: ExportedLogs,
  writer: FolderWriter,
  signal: AbortSignal | undefined,
): Promise<void> => {
  const query = `select text from evidence_journal
    where generation = ${integer(generation)} and index < ${integer(journal.size)} order by index`;
  const file = writer.open(bundleFiles.journalEntries);
  const take = (row: BinaryRow) => {
    file.write(field(row, 0));
    file.write(lineEnd);
  };
  await copyWithin(client, query, take, { signal, long: true });
  file.end();
};

interface ChangesOptions {
  readonly signal?: AbortSignal | undefined;
  readonly source?: { readonly kind: string; readonly id: string } | undefined;
  /** Or without a time. */
  readonly time?: BundleTime | undefined;
}

/** In the order of their statements. */
export const copyChanges = async (
  client: PoolClient,
  { generation, journal }: ExportedLogs,
  writer: FolderWriter,
  { signal, source, time }: ChangesOptions,
): Promise<void> => {
  const isOfTime =
    time && `and exists (select from audit_events e where e.position = c.position ${ofTime(client, 'e', time)})`;
  const query = `select c.position, c.event_id, to_char(c.seen_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), c.raw::text
    from evidence_journal s join audit_event_changes c on c.id::text = s.ref
    where s.kind = 'change' and s.generation = ${integer(generation)} and s.index < ${integer(journal.size)} ${ofSource(client, 'c', source)}
      ${isOfTime ?? ''} order by s.index`;
  const file = writer.open(bundleFiles.changes);
  const take = (row: BinaryRow) => {
    const [eventId, seenAt, raw] = [1, 2, 3].map((at) => field(row, at).toString()) as [string, string, string];
    const position = Number(row.bytes.readBigInt64BE(row.starts[0]));
    file.write(Buffer.from(`${JSON.stringify({ position, event_id: eventId, seen_at: seenAt, raw })}\n`));
  };
  await copyWithin(client, query, take, { signal, long: true });
  file.end();
};

/** Of the statements that name keys. */
export const readKeys = async (
  client: PoolClient,
  { generation, journal }: ExportedLogs,
): Promise<{ readonly texts: readonly string[]; readonly monthKeys: ReadonlyMap<string, Buffer> }> => {
  const { rows: texts } = await client.query<{ text: string }>(
    longStatement(
      `select text from evidence_journal where generation = $1 and kind in ('genesis', 'fork', 'key') and index < $2 order by index`,
      [generation, journal.size],
    ),
  );
  return { texts: texts.map(({ text }) => text), monthKeys: await readMonthKeys(client) };
};

/** With its `and`; nothing for all sources. */
export const ofSource = (client: PoolClient, table: string, source: ChangesOptions['source']): string =>
  source === undefined
    ? ''
    : `and ${table}.source_kind = ${client.escapeLiteral(source.kind)} and ${table}.source_id = ${client.escapeLiteral(source.id)}`;

/** One without a time is of every time. */
export const ofTime = (client: PoolClient, table: string, { since, before }: BundleTime): string => {
  const time = `${table}.action_time`;
  const from = since === null ? '' : `and ${time} >= ${client.escapeLiteral(since)}::timestamptz`;
  const to = before === null ? '' : `and ${time} < ${client.escapeLiteral(before)}::timestamptz`;
  return `and (${time} = '-infinity' or (true ${from} ${to}))`;
};

const lineEnd = Buffer.from('\n');

/** Empty for null. */
export const field = ({ bytes, starts, lengths }: BinaryRow, at: number): Buffer => {
  const start = starts[at] ?? 0;
  return bytes.subarray(start, start + Math.max(lengths[at] ?? 0, 0));
};

/** For the text of a statement, since COPY takes no parameters. */
export const integer = (value: number): string => {
  if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is no integer`);
  return String(value);
};

export interface ExportedAnchor {
  readonly anchor: string;
  /** No more than the bundle has; null if it keeps the journal alone. */
  readonly size: number | null;
  /** In RFC 3339. */
  readonly at: string;
}

interface AnchorRow {
  readonly anchor: string;
  readonly log: LogName;
  readonly size: number;
  readonly note: string;
  readonly receipt: Buffer | null;
  readonly at: string;
  readonly isNewest: boolean;
}

const query = `
select a.anchor, a.log, a.size::float8 as size, c.note, a.receipt,
  to_char(a.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as at,
  a.size = max(a.size) over (partition by a.anchor, a.log) as "isNewest"
from evidence_anchors a join evidence_checkpoints c using (log, generation, size)
where a.generation = $1 and a.at is not null and a.size > 0 and a.size <= case when a.log = 'events' then $2::bigint else $3 end
order by a.anchor collate "C", a.log, a.size`;

/**
 * The newest checkpoints of each anchor, with the cosignature of a witness of the policy, and all time stamps. As the
 * database remembers them: what is at the anchor is for the auditor to fetch.
 */
export const copyAnchors = async (
  client: PoolClient,
  { generation, events, journal }: ExportedLogs,
  writer: FolderWriter,
  policy: Policy,
): Promise<readonly ExportedAnchor[]> => {
  const { rows: all } = await client.query<AnchorRow>(query, [generation, events.size, journal.size]);
  const rows = all.filter((row) => isTimeStamp(row) || isByKeyOf(policy, row));
  const names = [...new Set(rows.map(({ anchor }) => anchor))];
  for (const row of rows) {
    if (isTimeStamp(row)) writeTimeStamp(writer, row, names.indexOf(row.anchor) + 1);
    else if (row.isNewest) {
      const path = `${ANCHORS_FOLDER}${names.indexOf(row.anchor) + 1}-${row.log}`;
      writer.write(path, Buffer.from(`${row.note}${cosignatureOf(row, policy)}`));
    }
  }
  return names.map((anchor) => summaryOf(rows.filter((row) => row.anchor === anchor && row.isNewest)));
};

const isTimeStamp = ({ anchor, receipt }: AnchorRow): boolean => anchor.startsWith('tsa:') && receipt !== null;

/** Who has the policy alone would refuse one of a key that was replaced since. */
const isByKeyOf = ({ logs }: Policy, { note }: AnchorRow): boolean => isBySome(parseNote(Buffer.from(note)), logs);

/** Only of a key of the policy. */
const cosignatureOf = ({ receipt }: AnchorRow, { witnesses }: Policy): string => {
  const line = receipt?.toString('utf8') ?? '';
  return witnesses.some(({ key }) => line.startsWith(`\u2014 ${key.name} `)) ? line : '';
};

const writeTimeStamp = (writer: FolderWriter, { size, note, receipt }: AnchorRow, number: number): void => {
  writer.write(timeStampPath(number, size), Buffer.from(note));
  writer.write(`${timeStampPath(number, size)}.tsr`, receipt ?? Buffer.alloc(0));
};

const summaryOf = (rows: readonly AnchorRow[]): ExportedAnchor => {
  const ofEvents = rows.find(({ log }) => log === 'events');
  const [first] = rows;
  return { anchor: first?.anchor ?? '', size: ofEvents?.size ?? null, at: (ofEvents ?? first)?.at ?? '' };
};

/** The rows that the last statement of each source promises, in a journal of `size`. A line is valid only while it is handed over. */
export const readReads = async (
  client: PoolClient,
  { generation, size }: { readonly generation: number; readonly size: number },
  take: (line: Buffer) => void,
  { signal, source }: Omit<ChangesOptions, 'time'> = {},
): Promise<void> => {
  const ofSource =
    source === undefined ? '' : `and starts_with(j.ref, ${client.escapeLiteral(`${source.kind}/${source.id}/`)})`;
  const query = `select orgtrail_read_text(r)
    from (
      select distinct on (s.kind, s.id) s.kind, s.id, (s.reads ->> 'count')::bigint as until, coalesce((s.reads #>> '{after,count}')::bigint, 0) as after
      from (
        select j.index, j.text::jsonb ->> 'source_kind' as kind, j.text::jsonb ->> 'source_id' as id, j.text::jsonb -> 'reads' as reads
        from evidence_journal j
        where j.generation = ${integer(generation)} and j.kind = 'coverage' and j.index < ${integer(size)} ${ofSource}) s
      where jsonb_typeof(s.reads) = 'object' order by s.kind, s.id, s.index desc) last
    join evidence_reads r on r.source_kind = last.kind and r.source_id = last.id and r.number > last.after and r.number <= last.until
    order by r.source_kind, r.source_id, r.number`;
  await copyWithin(client, query, (row) => take(field(row, 0)), { signal, long: true });
};

/** No file if there are none. */
export const copyReads = async (
  client: PoolClient,
  { generation, journal: { size } }: ExportedLogs,
  writer: FolderWriter,
  options: ChangesOptions,
): Promise<void> => {
  let file: FileWriter | undefined;
  const take = (line: Buffer) => {
    file ??= writer.open(bundleFiles.journalReads);
    file.write(line);
    file.write(lineEnd);
  };
  await readReads(client, { generation, size }, take, options);
  file?.end();
};
