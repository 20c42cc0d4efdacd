import type { Pool } from 'pg';
import { readOnly } from '../../postgres/read-only.ts';
import { type FoundRow, foundColumns, toFoundEvent } from '../found-event.sql.ts';
import type { FoundEvent } from '../found-event.ts';
import { type ArchivedColumn, archivedColumnNames, declared, jsonOf, textOf } from './archived-columns.ts';
import type { PickedRow } from './archived-page.ts';
import type { ArchivedMonths } from './ports.ts';

/** An archived event with its text, to the byte of the entry. */
interface ArchivedFound {
  readonly event: FoundEvent;
  readonly rawText: string;
}

/** Of events that were found in the archive: as long as they are in use. */
const texts = new WeakMap<FoundEvent, string>();

/** The text of an event that was found in the archive; undefined for one of the database. */
export const archivedTextOf = (event: FoundEvent): string | undefined => texts.get(event);

const TIMEOUT_MS = 10_000;
const plainColumns = archivedColumnNames.filter((name) => name !== 'raw');

interface Reading {
  /** Of their texts together. */
  readonly maxBytes: number;
  /** Whether the time of the reader is over; undefined: it never is. */
  readonly isOver?: () => boolean;
  readonly signal: AbortSignal | undefined;
}

/** The events of rows, in their order; fewer, but one, if their texts would take too much or the time is over. */
export const readFoundRows = async (
  { pool, months }: { readonly pool: Pool; readonly months: ArchivedMonths },
  picked: readonly PickedRow[],
  { maxBytes, isOver, signal }: Reading,
): Promise<readonly ArchivedFound[]> => {
  const { read, isWhole } = await readColumnsOf(picked, isOver, signal);
  const changed = new Map<string, ReadonlySet<number>>();
  for (const { group } of picked)
    if (!changed.has(group.month)) changed.set(group.month, await months.changed(group.month));
  const fitting: { readonly row: Readonly<Record<string, unknown>>; readonly raw: string; readonly bytes: number }[] =
    [];
  let bytes = 0;
  for (const { position, group } of picked) {
    const one = read.get(position);
    if (one === undefined && !isWhole) break;
    if (one === undefined) throw new Error(`the archive gave no event ${position}`);
    bytes += one.bytes;
    if (bytes > maxBytes && fitting.length > 0) break;
    fitting.push({ ...one, row: { ...one.row, has_changed: changed.get(group.month)?.has(position) ?? false } });
  }
  const rows = await foundRowsOf(
    pool,
    fitting.map(({ row }) => row),
    signal,
  );
  return rows.map((row, n) => {
    const event = { ...toFoundEvent(row), rawBytes: fitting[n]?.bytes ?? 0 };
    const rawText = fitting[n]?.raw ?? '';
    texts.set(event, rawText);
    return { event, rawText };
  });
};

/** Group by group, so that only one is in memory: that of the first row at least. */
const readColumnsOf = async (
  picked: readonly PickedRow[],
  isOver: (() => boolean) | undefined,
  signal: AbortSignal | undefined,
) => {
  const groups = Map.groupBy(picked, ({ group }) => group.name);
  const read = new Map<number, { row: Readonly<Record<string, unknown>>; raw: string; bytes: number }>();
  for (const rows of groups.values()) {
    const [first] = rows;
    if (first === undefined) continue;
    if (read.size > 0 && isOver?.() === true) return { read, isWhole: false };
    const inOrder = rows.toSorted((a, b) => a.row - b.row);
    const columns = await first.group.columnsOfRows<ArchivedColumn>(
      archivedColumnNames,
      inOrder.map(({ row }) => row),
      signal,
    );
    for (const [n, { position }] of inOrder.entries()) {
      const raw = columns.raw[n] as Uint8Array;
      const values = plainColumns.map((name) => [name, jsonOf(name, columns[name][n])]);
      read.set(position, { row: Object.fromEntries(values), raw: textOf(raw) ?? '', bytes: raw.length });
    }
  }
  return { read, isWhole: true };
};

/** As a search of the database gives them: by the same columns, of tables that have the same names. */
const foundRowsOf = async (
  pool: Pool,
  rows: readonly Readonly<Record<string, unknown>>[],
  signal: AbortSignal | undefined,
): Promise<readonly FoundRow[]> => {
  if (rows.length === 0) return [];
  const statement = `with archived as (select * from json_to_recordset($1::json) as (${declared(plainColumns)}, has_changed boolean, place integer)),
      audit_events as (select archived.*, null::text as raw from archived),
      audit_event_changes as (select source_kind, source_id, id as event_id from archived where has_changed)
    select ${foundColumns} from audit_events e left join organizations o on o.id = e.organization_id order by e.place`;
  const lines = rows.map((row, place) => JSON.stringify({ ...row, place }));
  const found = await readOnly(
    pool,
    TIMEOUT_MS,
    (client) => client.query<FoundRow>(statement, [`[${lines.join(',')}]`]),
    signal,
  );
  return found.rows;
};
