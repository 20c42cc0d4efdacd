import type { PoolClient } from 'pg';
import { ANCHORS_FOLDER, timeStampPath } from '../bundle/layout.ts';
import type { FolderWriter } from '../files/folder-writer.ts';
import type { LogName } from '../notes/origin.ts';
import type { Policy } from '../notes/policy.ts';
import { parseNote } from '../notes/signed-note.ts';
import type { ExportedLogs } from './snapshot.sql.ts';

/** An anchor that has a checkpoint of the log of events, or time stamps. */
export interface ExportedAnchor {
  readonly anchor: string;
  /** Events of the newest checkpoint that it keeps, no more than the bundle has; null if it keeps the journal alone. */
  readonly size: number | null;
  /** When it was last seen there, in RFC 3339. */
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
 * Writes the newest checkpoint of each log that each anchor has, cosigned if it is a witness of the policy, and all time stamps with the
 * checkpoints that they are of. All of it as the database remembers it: what is at the anchor is for the auditor to fetch.
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

/** One of a key that was replaced since would be refused by who has the policy alone. */
const isByKeyOf = ({ logs }: Policy, { note }: AnchorRow): boolean =>
  parseNote(Buffer.from(note)).signatures.some((line) =>
    logs.some(({ name, id }) => name === line.name && id === line.keyId),
  );

/** A line of a key that the policy does not have would say nothing to a reader. */
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
