import type { PoolClient } from 'pg';
import { type BinaryRow, copyWithin } from '../../postgres/copy.ts';
import { keyHistory, statementOf, verifierKeys } from '../append/keys-in-force.ts';
import { ANCHORS_FOLDER, bundleFiles, kindOf, type Selection } from '../bundle/layout.ts';
import type { Statement, StatementOf } from '../journal/statement.ts';
import type { VerifierKey } from '../notes/signed-note.ts';
import { type ExportedLog, field, integer } from './snapshot.sql.ts';
import type { BundleWriter } from './writer.ts';

/** What a bundle with these statements needs beside them. */
export interface CopiedStatements {
  /** Ascending. */
  readonly indexes: readonly number[];
  /** SHA-256 in hexadecimal of later contents, by the index of the event. */
  readonly changes: ReadonlyMap<number, ReadonlySet<string>>;
  readonly coverage: readonly Pick<StatementOf<'coverage'>, 'index' | 'source' | 'rows'>[];
  readonly begins: readonly StatementOf<'begin'>[];
  readonly keys: readonly VerifierKey[];
}

/** Events of a search. */
export interface FoundLeaves {
  readonly indexes: ReadonlySet<number>;
  /** Of their sources. */
  readonly numbers: ReadonlySet<number>;
}

export const copyStatements = async (
  client: PoolClient,
  { size, origin }: ExportedLog,
  {
    selection,
    found,
    signal,
  }: { readonly selection: Selection; readonly found: FoundLeaves; readonly signal?: AbortSignal | undefined },
  writer: BundleWriter,
): Promise<CopiedStatements> => {
  const isSearch = kindOf(selection) === 'search';
  const indexes: number[] = [];
  const changes = new Map<number, Set<string>>();
  const coverage: CopiedStatements['coverage'][number][] = [];
  const begins: StatementOf<'begin'>[] = [];
  const keyTexts: string[] = [];
  const file = writer.open(bundleFiles.statements);
  const note = (statement: Statement) => {
    if (statement.type === 'begin') begins.push(statement);
    if (statement.type === 'coverage') coverage.push(statement);
    if (statement.type !== 'change') return;
    changes.set(statement.event, (changes.get(statement.event) ?? new Set()).add(statement.raw_sha256));
  };
  const take = (row: BinaryRow) => {
    const [text, type] = [field(row, 1), field(row, 2).toString()];
    const statement = isRead.has(type) ? statementOf(text.toString()) : undefined;
    if (isSearch && statement?.type === 'change' && !found.indexes.has(statement.event)) return;
    indexes.push(Number(row.bytes.readBigInt64BE(row.starts[0])));
    file.write(text);
    file.write(lineEnd);
    if (type === 'begin' || type === 'key') keyTexts.push(text.toString());
    if (statement !== undefined) note(statement);
  };
  const query = `select index, text, type from evidence_statements
    where index < ${integer(size)} ${ofSelection(selection, size, found)} order by index`;
  await copyWithin(client, query, take, { signal, long: true });
  file.end();
  return {
    indexes,
    changes,
    coverage: isSearch ? [] : coverage,
    begins,
    keys: verifierKeys(keyHistory(keyTexts), origin),
  };
};

const isRead: ReadonlySet<string> = new Set(['begin', 'coverage', 'change']);

const ofSelection = (selection: Selection, size: number, { numbers }: FoundLeaves): string => {
  const { source } = selection;
  if (kindOf(selection) !== 'search') return source === null ? '' : `and source in (0, ${integer(source)})`;
  const ofFound =
    numbers.size === 0
      ? ''
      : `or source in (${[...numbers].map(integer).join()}) and (type in ('source', 'change') or index in (
    select max(c.index) from evidence_statements c where c.type = 'coverage' and c.index < ${integer(size)} group by c.source))`;
  return `and (source = 0 ${ofFound})`;
};

/** Statements of one query. */
const STATEMENTS_AT_ONCE = 2_000;

/** The lines that these statements count, where all of them are still stored. No file if there are none. */
export const copyReads = async (
  client: PoolClient,
  { coverage }: CopiedStatements,
  writer: BundleWriter,
  signal: AbortSignal | undefined,
): Promise<void> => {
  let file: ReturnType<BundleWriter['open']> | undefined;
  const take = (row: BinaryRow) => {
    file ??= writer.open(bundleFiles.reads);
    file.write(field(row, 0));
    file.write(lineEnd);
  };
  const counted = coverage.filter(({ rows }) => rows.last >= rows.first);
  for (let at = 0; at < counted.length; at += STATEMENTS_AT_ONCE) {
    const values = counted
      .slice(at, at + STATEMENTS_AT_ONCE)
      .map(({ index, source, rows }) => `(${[index, source, rows.first, rows.last].map(integer).join()})`);
    const query = `select orgtrail_read_text(r, s.number)
      from (values ${values.join()}) as c (index, source, first, last) join evidence_sources s on s.number = c.source
        join evidence_reads r on r.source_kind = s.kind and r.source_id = s.id and r.number between c.first and c.last
      where c.last - c.first + 1 = (select count(*) from evidence_reads a
        where a.source_kind = s.kind and a.source_id = s.id and a.number between c.first and c.last)
      order by c.index, r.number`;
    await copyWithin(client, query, take, { signal, long: true });
  }
  file?.end();
};

export interface ExportedAnchor {
  readonly anchor: string;
  readonly size: number;
  /** In RFC 3339. */
  readonly at: string;
  /** The checkpoint, with the cosignature of a witness. */
  readonly note: string;
}

/** The newest checkpoint of each anchor, as the database remembers it: what is at the anchor is for the auditor to fetch. */
export const readAnchors = async (
  client: PoolClient,
  { size }: ExportedLog,
  witnesses: readonly VerifierKey[],
): Promise<ExportedAnchor[]> => {
  const { rows } = await client.query<ExportedAnchor & { readonly receipt: Buffer | null }>(
    `select distinct on (a.anchor) a.anchor, a.size::float8 as size, c.note, a.receipt,
       to_char(a.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as at
     from evidence_anchors a join evidence_checkpoints c using (size) where a.at is not null and a.size > 0 and a.size <= $1
     order by a.anchor, a.size desc`,
    [size],
  );
  return rows.map(({ anchor, at, note, receipt, size: kept }) => {
    const line = receipt?.toString('utf8') ?? '';
    const isCosigned = witnesses.some(({ name }) => line.startsWith(`\u2014 ${name} `));
    return { anchor, at, size: kept, note: isCosigned ? `${note}${line}` : note };
  });
};

/** Numbered, since names of anchors may have any characters. */
export const writeAnchors = (anchors: readonly ExportedAnchor[], writer: BundleWriter): void => {
  for (const [index, { note, size }] of anchors.entries())
    writer.write(`${ANCHORS_FOLDER}${index + 1}-${size}`, Buffer.from(note));
};

const lineEnd = Buffer.from('\n');
