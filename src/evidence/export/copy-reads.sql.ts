import type { PoolClient } from 'pg';
import { copyWithin } from '../../postgres/copy/copy-out.ts';
import { bundleFiles } from '../bundle/layout.ts';
import type { FileWriter, FolderWriter } from '../files/folder-writer.ts';
import { field, integer } from './copy-logs.sql.ts';
import type { ExportedLogs } from './snapshot.sql.ts';

export interface ReadsOptions {
  readonly signal?: AbortSignal | undefined;
  /** Only of this one. */
  readonly source?: { readonly kind: string; readonly id: string } | undefined;
}

/**
 * Hands over the lines of `journal/reads.ndjson`, as of a journal of so many statements: the rows that the last statement of each source promises.
 * A line is valid only while it is handed over.
 */
export const readReads = async (
  client: PoolClient,
  { generation, size }: { readonly generation: number; readonly size: number },
  take: (line: Buffer) => void,
  { signal, source }: ReadsOptions = {},
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

/** Writes them into a bundle; no file if there are none. */
export const copyReads = async (
  client: PoolClient,
  { generation, journal: { size } }: ExportedLogs,
  writer: FolderWriter,
  options: ReadsOptions,
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

const lineEnd = Buffer.from('\n');
