import type { PoolClient } from 'pg';
import type { BinaryRow } from '../../postgres/copy/binary-row.ts';
import { copyWithin } from '../../postgres/copy/copy-out.ts';
import { longStatement } from '../../postgres/pool.ts';
import { bundleFiles, checkpointPath, logTilePath, tileSourcesPath } from '../bundle/layout.ts';
import type { BundleTime } from '../bundle/time-of-bundle.ts';
import { HASH_BYTES } from '../crypto/sha256.ts';
import type { FolderWriter } from '../files/folder-writer.ts';
import type { LogName } from '../notes/origin.ts';
import { widthOfTile } from '../tree/tiles.ts';
import type { ExportedLogs } from './snapshot.sql.ts';

/** Writes both logs as of their checkpoints, and the statements: all of a bundle that is the same for every reader. */
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
  await copyWithin(
    client,
    query,
    (row) => {
      file.write(field(row, 0));
      file.write(lineEnd);
    },
    { signal, long: true },
  );
  file.end();
};

export interface ChangesOptions {
  readonly signal?: AbortSignal | undefined;
  /** Only of this one. */
  readonly source?: { readonly kind: string; readonly id: string } | undefined;
  /** Only of events that happened then, or have no time. */
  readonly time?: BundleTime | undefined;
}

/** The later contents that are stated, in the order of their statements. */
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

/** The texts of the statements that name keys, the first of all included; and the keys of months. */
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
  const { rows: keys } = await client.query<{ month: string; key: Buffer }>(
    'select month, key from evidence_month_keys',
  );
  return { texts: texts.map(({ text }) => text), monthKeys: new Map(keys.map(({ month, key }) => [month, key])) };
};

/** A condition on the source of a table, with its `and`; nothing for all sources. */
export const ofSource = (client: PoolClient, table: string, source: ChangesOptions['source']): string =>
  source === undefined
    ? ''
    : `and ${table}.source_kind = ${client.escapeLiteral(source.kind)} and ${table}.source_id = ${client.escapeLiteral(source.id)}`;

/** The same of the time of an event; one without a time is of every time. */
export const ofTime = (client: PoolClient, table: string, { since, before }: BundleTime): string => {
  const time = `${table}.action_time`;
  const from = since === null ? '' : `and ${time} >= ${client.escapeLiteral(since)}::timestamptz`;
  const to = before === null ? '' : `and ${time} < ${client.escapeLiteral(before)}::timestamptz`;
  return `and (${time} = '-infinity' or (true ${from} ${to}))`;
};

const lineEnd = Buffer.from('\n');

/** A view of a field; empty for null. */
export const field = ({ bytes, starts, lengths }: BinaryRow, at: number): Buffer => {
  const start = starts[at] ?? 0;
  return bytes.subarray(start, start + Math.max(lengths[at] ?? 0, 0));
};

/** A number in the text of a statement, since COPY takes no parameters. */
export const integer = (value: number): string => {
  if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is no integer`);
  return String(value);
};
